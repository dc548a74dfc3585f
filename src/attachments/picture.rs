//! Pictures: their size, a thumbnail, and a copy that fits a limit. Pure; slow, so call it on a thread for it.
//!
//! Nothing is decoded before its dimensions are known and found bearable: a small file can hold an enormous picture.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder as _, ImageReader, Limits, Rgb, RgbImage};

/// Width and height at most, in pixels.
const SIDE_MAX: u32 = 16_384;
/// Width times height at most: 50 megapixels are 200 MB while we work.
const PIXELS_MAX: u64 = 50_000_000;
/// Memory of a decoder at most, in bytes.
const DECODER_BYTES_MAX: u64 = 256 << 20;
/// The longer side of a thumbnail, in pixels.
const THUMBNAIL_SIDE: u32 = 320;
/// What is tried, in this order, until a copy fits: the longer side in pixels, and the quality of JPEG.
const ATTEMPTS: [(u32, u8); 9] = [
    (2_560, 88),
    (2_048, 82),
    (1_600, 78),
    (1_280, 75),
    (1_024, 72),
    (800, 70),
    (640, 65),
    (480, 55),
    (320, 45),
];

/// Why a picture cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// Too many pixels.
    #[error("the picture has too many pixels")]
    TooLarge,
    /// Not a picture, or a broken one.
    #[error("the picture cannot be read")]
    Unreadable,
}

/// A copy of a picture, as JPEG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// The file.
    pub bytes: Vec<u8>,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
}

/// A picture that was found harmless and decoded, upright.
pub struct Picture(DynamicImage);

impl Picture {
    /// Decodes a picture, the first one when it moves.
    ///
    /// # Errors
    /// When it has too many pixels or cannot be read.
    pub fn decode(bytes: &[u8]) -> Result<Picture, PictureError> {
        let reader = ImageReader::new(Cursor::new(bytes));
        let reader = reader.with_guessed_format().map_err(|_| PictureError::Unreadable)?;
        let mut decoder = reader.into_decoder().map_err(|_| PictureError::Unreadable)?;
        let (width, height) = decoder.dimensions();
        if width > SIDE_MAX || height > SIDE_MAX || u64::from(width) * u64::from(height) > PIXELS_MAX {
            return Err(PictureError::TooLarge);
        }
        let mut limits = Limits::default();
        limits.max_image_width = Some(SIDE_MAX);
        limits.max_image_height = Some(SIDE_MAX);
        limits.max_alloc = Some(DECODER_BYTES_MAX);
        decoder.set_limits(limits).map_err(|_| PictureError::TooLarge)?;
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        let mut picture = DynamicImage::from_decoder(decoder).map_err(|_| PictureError::Unreadable)?;
        picture.apply_orientation(orientation);
        Ok(Picture(picture))
    }

    /// Width and height in pixels, as it is shown.
    pub fn dimensions(&self) -> (u32, u32) {
        (self.0.width(), self.0.height())
    }

    /// A small copy for lists.
    pub fn thumbnail(&self) -> Option<Copy> {
        self.copy(THUMBNAIL_SIDE, 72)
    }

    /// The best copy of at most `bytes_max` bytes; `None` when even a small one does not fit.
    pub fn fitted(&self, bytes_max: usize) -> Option<Copy> {
        let longer = self.0.width().max(self.0.height());
        let mut sides = ATTEMPTS.into_iter().filter(|(side, _)| *side <= longer.max(320));
        sides
            .find_map(|(side, quality)| self.copy(side, quality).filter(|copy| copy.bytes.len() <= bytes_max))
    }

    fn copy(&self, side: u32, quality: u8) -> Option<Copy> {
        let small = self.0.width() <= side && self.0.height() <= side;
        let rgb = if small { on_white(&self.0) } else { on_white(&self.0.thumbnail(side, side)) };
        let (width, height) = rgb.dimensions();
        let mut bytes = Vec::new();
        JpegEncoder::new_with_quality(&mut bytes, quality).encode_image(&rgb).ok()?;
        Some(Copy { bytes, width, height })
    }
}

/// JPEG knows no transparency: what can be seen through becomes white.
fn on_white(picture: &DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.to_rgb8();
    }
    let seen = picture.to_rgba8();
    let mut flat = RgbImage::new(seen.width(), seen.height());
    for (to, from) in flat.pixels_mut().zip(seen.pixels()) {
        let [r, g, b, alpha] = from.0;
        let mix = |c: u8| {
            let mixed = (u16::from(c) * u16::from(alpha) + 255 * (255 - u16::from(alpha))) / 255;
            u8::try_from(mixed).unwrap_or(u8::MAX)
        };
        *to = Rgb([mix(r), mix(g), mix(b)]);
    }
    flat
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageFormat, Rgba, RgbaImage};

    fn noise(width: u32, height: u32) -> DynamicImage {
        let mut seed = 1u32;
        DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, |_, _| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let [_, r, g, b] = seed.to_be_bytes();
            Rgb([r, g, b])
        }))
    }

    fn file(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn every_kind_is_read() {
        for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Gif, ImageFormat::WebP] {
            let small = if format == ImageFormat::Gif {
                DynamicImage::from(noise(40, 30).to_rgba8())
            } else {
                noise(40, 30)
            };
            let picture = Picture::decode(&file(&small, format)).unwrap();
            assert_eq!(picture.dimensions(), (40, 30), "{format:?}");
            assert_eq!(picture.thumbnail().map(|copy| (copy.width, copy.height)), Some((40, 30)));
        }
    }

    #[test]
    fn copies_fit_and_keep_their_shape() {
        let picture = Picture::decode(&file(&noise(1_200, 600), ImageFormat::Png)).unwrap();
        let thumbnail = picture.thumbnail().unwrap();
        assert_eq!((thumbnail.width, thumbnail.height), (320, 160));
        for limit in [400_000, 60_000, 20_000] {
            let copy = picture.fitted(limit).unwrap();
            assert!(copy.bytes.len() <= limit, "{limit}");
            assert_eq!(copy.width, copy.height * 2);
            assert_eq!(Picture::decode(&copy.bytes).unwrap().dimensions(), (copy.width, copy.height));
        }
        assert_eq!(picture.fitted(500), None);
    }

    #[test]
    fn what_can_be_seen_through_becomes_white() {
        let clear = DynamicImage::ImageRgba8(RgbaImage::from_pixel(8, 8, Rgba([0, 0, 0, 0])));
        let copy = Picture::decode(&file(&clear, ImageFormat::Png)).unwrap().thumbnail().unwrap();
        let shown = Picture::decode(&copy.bytes).unwrap().0.to_rgb8();
        assert!(shown.pixels().all(|pixel| pixel.0.iter().all(|c| *c > 250)));
    }

    #[test]
    fn bombs_and_rubbish_are_refused() {
        // A PNG that claims 60,000 × 60,000 pixels: the header alone, with a right checksum.
        let mut bomb = file(&noise(4, 4), ImageFormat::Png);
        bomb[16..20].copy_from_slice(&60_000u32.to_be_bytes());
        bomb[20..24].copy_from_slice(&60_000u32.to_be_bytes());
        let mut crc = u32::MAX;
        for byte in &bomb[12..29] {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
            }
        }
        bomb[29..33].copy_from_slice(&(!crc).to_be_bytes());
        assert_eq!(Picture::decode(&bomb).err(), Some(PictureError::TooLarge));
        let whole = file(&noise(64, 64), ImageFormat::Png);
        assert_eq!(Picture::decode(&whole[..whole.len() / 2]).err(), Some(PictureError::Unreadable));
        assert_eq!(Picture::decode(b"not a picture").err(), Some(PictureError::Unreadable));
    }
}
