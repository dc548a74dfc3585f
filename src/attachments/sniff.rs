//! What a file really is, by its first bytes. What a sender says of it is only believed when it agrees.
//!
//! The list is short on purpose: what telephones exchange, and nothing that a browser would run.

/// A kind of file that we keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileType {
    /// JPEG.
    Jpeg,
    /// PNG.
    Png,
    /// GIF, perhaps moving.
    Gif,
    /// WebP.
    Webp,
    /// MPEG-4 film.
    Mp4,
    /// 3GPP film.
    ThreeGp,
    /// QuickTime film.
    Mov,
    /// MPEG-4 sound.
    M4a,
    /// MP3.
    Mp3,
    /// AMR, the sound of telephones.
    Amr,
    /// Ogg.
    Ogg,
    /// WAVE.
    Wav,
    /// PDF.
    Pdf,
    /// A visiting card.
    Vcard,
    /// Plain text in UTF-8.
    Text,
}

impl FileType {
    /// All of them.
    pub const ALL: [FileType; 15] = [
        FileType::Jpeg,
        FileType::Png,
        FileType::Gif,
        FileType::Webp,
        FileType::Mp4,
        FileType::ThreeGp,
        FileType::Mov,
        FileType::M4a,
        FileType::Mp3,
        FileType::Amr,
        FileType::Ogg,
        FileType::Wav,
        FileType::Pdf,
        FileType::Vcard,
        FileType::Text,
    ];

    /// Looks at the bytes. `None`: nothing that we keep.
    pub fn of(bytes: &[u8]) -> Option<FileType> {
        let at = |from: usize, wanted: &[u8]| bytes.get(from..).is_some_and(|rest| rest.starts_with(wanted));
        match bytes {
            _ if at(0, b"\xff\xd8\xff") => Some(FileType::Jpeg),
            _ if at(0, b"\x89PNG\r\n\x1a\n") => Some(FileType::Png),
            _ if at(0, b"GIF87a") || at(0, b"GIF89a") => Some(FileType::Gif),
            _ if at(0, b"RIFF") && at(8, b"WEBP") => Some(FileType::Webp),
            _ if at(0, b"RIFF") && at(8, b"WAVE") => Some(FileType::Wav),
            _ if at(4, b"ftyp") => Some(brand(bytes.get(8..12).unwrap_or_default())),
            _ if at(0, b"OggS") => Some(FileType::Ogg),
            _ if at(0, b"#!AMR") => Some(FileType::Amr),
            _ if at(0, b"ID3") => Some(FileType::Mp3),
            // A frame of MPEG layer III: eleven bits of one, then the layer.
            [0xff, second, ..] if second & 0xe6 == 0xe2 => Some(FileType::Mp3),
            _ if at(0, b"%PDF-") => Some(FileType::Pdf),
            _ => text(bytes),
        }
    }

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            FileType::Jpeg => "image/jpeg",
            FileType::Png => "image/png",
            FileType::Gif => "image/gif",
            FileType::Webp => "image/webp",
            FileType::Mp4 => "video/mp4",
            FileType::ThreeGp => "video/3gpp",
            FileType::Mov => "video/quicktime",
            FileType::M4a => "audio/mp4",
            FileType::Mp3 => "audio/mpeg",
            FileType::Amr => "audio/amr",
            FileType::Ogg => "audio/ogg",
            FileType::Wav => "audio/wav",
            FileType::Pdf => "application/pdf",
            FileType::Vcard => "text/vcard",
            FileType::Text => "text/plain",
        }
    }

    /// How the names of such files end.
    pub fn extension(self) -> &'static str {
        match self {
            FileType::Jpeg => "jpg",
            FileType::Png => "png",
            FileType::Gif => "gif",
            FileType::Webp => "webp",
            FileType::Mp4 => "mp4",
            FileType::ThreeGp => "3gp",
            FileType::Mov => "mov",
            FileType::M4a => "m4a",
            FileType::Mp3 => "mp3",
            FileType::Amr => "amr",
            FileType::Ogg => "ogg",
            FileType::Wav => "wav",
            FileType::Pdf => "pdf",
            FileType::Vcard => "vcf",
            FileType::Text => "txt",
        }
    }

    /// The kind with this media type.
    pub fn from_media_type(media_type: &str) -> Option<FileType> {
        FileType::ALL.into_iter().find(|kind| kind.media_type() == media_type)
    }

    /// A still or moving picture that we can decode.
    pub fn is_picture(self) -> bool {
        matches!(self, FileType::Jpeg | FileType::Png | FileType::Gif | FileType::Webp)
    }

    /// Whether what somebody says it is can be meant for this. Nothing said, and “some bytes”, agree with everything;
    /// films and sounds share their containers, and telephones mix up the names.
    pub fn agrees_with(self, declared: Option<&str>) -> bool {
        let declared = declared.unwrap_or_default();
        let declared = declared.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let family = |media_type: &str| media_type.split('/').next().unwrap_or_default().to_owned();
        match declared.as_str() {
            "" | "application/octet-stream" | "binary/octet-stream" => true,
            "text/x-vcard" | "text/directory" => self == FileType::Vcard,
            "application/ogg" => self == FileType::Ogg,
            "video/ogg" => self == FileType::Ogg,
            declared if declared == self.media_type() => true,
            "image/jpg" | "image/pjpeg" => self == FileType::Jpeg,
            // A picture that is another kind of picture is a mistake, not a disguise; so with films and sounds.
            declared => match family(declared).as_str() {
                "image" => self.is_picture(),
                "audio" | "video" => matches!(family(self.media_type()).as_str(), "audio" | "video"),
                _ => false,
            },
        }
    }
}

fn brand(brand: &[u8]) -> FileType {
    match brand {
        b"qt  " => FileType::Mov,
        b"M4A " | b"M4B " => FileType::M4a,
        [b'3', b'g', ..] => FileType::ThreeGp,
        _ => FileType::Mp4,
    }
}

/// Text without control characters; markup that a browser would read as a page does not count.
fn text(bytes: &[u8]) -> Option<FileType> {
    let text = std::str::from_utf8(bytes).ok()?;
    let text = text.trim_start_matches('\u{feff}');
    let plain = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    if text.trim().is_empty() || !text.chars().all(plain) {
        return None;
    }
    let start: String = text.trim_start().chars().take(16).collect::<String>().to_ascii_uppercase();
    if start.starts_with("BEGIN:VCARD") {
        return Some(FileType::Vcard);
    }
    (!start.starts_with('<')).then_some(FileType::Text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn files_are_known_by_their_bytes() {
        let table: [(&[u8], Option<FileType>); 22] = [
            (b"\xff\xd8\xff\xe0..", Some(FileType::Jpeg)),
            (b"\x89PNG\r\n\x1a\n..", Some(FileType::Png)),
            (b"GIF89a..", Some(FileType::Gif)),
            (b"RIFF....WEBPVP8 ", Some(FileType::Webp)),
            (b"RIFF....WAVEfmt ", Some(FileType::Wav)),
            (b"RIFF....AVI ", Some(FileType::Text)),
            (b"\0\0\0\x18ftypmp42", Some(FileType::Mp4)),
            (b"\0\0\0\x18ftyp3gp5", Some(FileType::ThreeGp)),
            (b"\0\0\0\x18ftypqt  ", Some(FileType::Mov)),
            (b"\0\0\0\x18ftypM4A ", Some(FileType::M4a)),
            (b"#!AMR\n", Some(FileType::Amr)),
            (b"ID3\x04", Some(FileType::Mp3)),
            (b"\xff\xfb\x90\x00", Some(FileType::Mp3)),
            (b"OggS\0", Some(FileType::Ogg)),
            (b"%PDF-1.7", Some(FileType::Pdf)),
            (b"BEGIN:VCARD\r\nVERSION:3.0", Some(FileType::Vcard)),
            (b"Hello, \xe2\x9c\x93\n", Some(FileType::Text)),
            (b"<!doctype html><script>", None),
            (b" <svg xmlns=", None),
            (b"MZ\x90\0", None),
            (b"PK\x03\x04", None),
            (b"", None),
        ];
        for (bytes, wanted) in table {
            assert_eq!(FileType::of(bytes), wanted, "{bytes:?}");
        }
    }

    #[test]
    fn claims_must_agree() {
        let table = [
            (FileType::Jpeg, None, true),
            (FileType::Jpeg, Some("image/jpg"), true),
            (FileType::Png, Some("image/jpeg; name=x"), true),
            (FileType::Jpeg, Some("application/octet-stream"), true),
            (FileType::Jpeg, Some("video/mp4"), false),
            (FileType::Text, Some("image/png"), false),
            (FileType::Pdf, Some("image/png"), false),
            (FileType::Jpeg, Some("text/html"), false),
            (FileType::M4a, Some("video/mp4"), true),
            (FileType::Vcard, Some("text/x-vCard"), true),
            (FileType::Vcard, Some("text/vcard"), true),
            (FileType::Text, Some("text/x-vcard"), false),
        ];
        for (kind, declared, wanted) in table {
            assert_eq!(kind.agrees_with(declared), wanted, "{kind:?} {declared:?}");
        }
    }

    #[test]
    fn media_types_are_read_back() {
        for kind in FileType::ALL {
            assert_eq!(FileType::from_media_type(kind.media_type()), Some(kind));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_looked_at(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = FileType::of(&bytes);
        }
    }
}
