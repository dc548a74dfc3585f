//! SQLite's page cache without its walk through all pages after a split.
//!
//! Since this is the one place with code that the compiler cannot check, here is what it is for. When SQLite splits a
//! page of an index, it puts the halves into the order of the file by swapping page numbers, and for the time of a swap
//! a page gets a number that no page can have: that of the page in which the file's locks lie, one gibibyte from its
//! beginning. The cache notes it as the greatest number it has seen. At the commit SQLite says how many pages the file
//! has, and as a greater one seems to be there, the cache looks through everything it holds: 32,768 pages, each
//! somewhere else in memory, 2 ms of every commit of a flood. A sixth of all processor time went there.
//!
//! What is installed here hands everything on to SQLite's own cache, but it calls a page with that number zero: no page
//! of a file has that number either, and it is not the greatest. In a file beyond one gibibyte the walk does not happen
//! in the first place.
//!
//! [The page cache's interface](https://www.sqlite.org/c3ref/pcache_methods2.html).
#![expect(unsafe_code, reason = "SQLite's hooks are C; see above what is gained")]

use std::ffi::{c_int, c_uint};
use std::ptr::null_mut;
use std::sync::{Once, OnceLock};

use libsqlite3_sys::{
    SQLITE_CONFIG_GETPCACHE2, SQLITE_CONFIG_PCACHE2, SQLITE_OK, sqlite3_config, sqlite3_pcache,
    sqlite3_pcache_methods2, sqlite3_pcache_page,
};

/// Where in a file its locks lie (SQLite's `PENDING_BYTE`).
const LOCKS_AT: c_uint = 0x4000_0000;

/// SQLite's own cache, to which everything is handed on.
struct Own {
    create: unsafe extern "C" fn(c_int, c_int, c_int) -> *mut sqlite3_pcache,
    set_size: unsafe extern "C" fn(*mut sqlite3_pcache, c_int),
    count: unsafe extern "C" fn(*mut sqlite3_pcache) -> c_int,
    fetch: unsafe extern "C" fn(*mut sqlite3_pcache, c_uint, c_int) -> *mut sqlite3_pcache_page,
    unpin: unsafe extern "C" fn(*mut sqlite3_pcache, *mut sqlite3_pcache_page, c_int),
    rekey: unsafe extern "C" fn(*mut sqlite3_pcache, *mut sqlite3_pcache_page, c_uint, c_uint),
    truncate: unsafe extern "C" fn(*mut sqlite3_pcache, c_uint),
    destroy: unsafe extern "C" fn(*mut sqlite3_pcache),
    shrink: unsafe extern "C" fn(*mut sqlite3_pcache),
}

static OWN: OnceLock<Option<Own>> = OnceLock::new();

/// Puts itself before SQLite's cache. To be called before a connection is opened; only the first call does anything.
/// Where SQLite refuses, because somebody opened one before, it goes on as it was, slower.
pub(super) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: a structure of integers and optional functions, for which zeroes are good values.
        let mut methods: sqlite3_pcache_methods2 = unsafe { std::mem::zeroed() };
        // SAFETY: the documented argument of this option is such a structure, to be filled.
        if unsafe { sqlite3_config(SQLITE_CONFIG_GETPCACHE2, &raw mut methods) } != SQLITE_OK {
            return;
        }
        if OWN.get_or_init(|| read(&methods)).is_none() {
            return;
        }
        methods.xCreate = Some(create);
        methods.xCachesize = Some(set_size);
        methods.xPagecount = Some(count);
        methods.xFetch = Some(fetch);
        methods.xUnpin = Some(unpin);
        methods.xRekey = Some(rekey);
        methods.xTruncate = Some(truncate);
        methods.xDestroy = Some(destroy);
        methods.xShrink = Some(shrink);
        // SAFETY: SQLite copies the structure, and its functions are there as long as the program. It is refused
        // (`SQLITE_MISUSE`) when SQLite is in use already.
        let _ = unsafe { sqlite3_config(SQLITE_CONFIG_PCACHE2, &raw const methods) };
    });
}

fn read(methods: &sqlite3_pcache_methods2) -> Option<Own> {
    Some(Own {
        create: methods.xCreate?,
        set_size: methods.xCachesize?,
        count: methods.xPagecount?,
        fetch: methods.xFetch?,
        unpin: methods.xUnpin?,
        rekey: methods.xRekey?,
        truncate: methods.xTruncate?,
        destroy: methods.xDestroy?,
        shrink: methods.xShrink?,
    })
}

/// One connection's cache, as SQLite is given it.
struct PageCache {
    inner: *mut sqlite3_pcache,
    /// The number that no page of a file with such pages has.
    spare: c_uint,
}

impl PageCache {
    fn key(&self, page: c_uint) -> c_uint {
        if page == self.spare { 0 } else { page }
    }
}

/// What SQLite means by its handle.
///
/// # Safety
/// It must be one that [`create`] gave out and [`destroy`] has not taken back. A connection never leaves its thread
/// while it is used, so nobody else holds it.
unsafe fn of<'a>(cache: *mut sqlite3_pcache) -> (&'a PageCache, &'static Own) {
    // SAFETY: as the caller promises. None has been given out unless `OWN` was filled.
    unsafe { (&*cache.cast::<PageCache>(), OWN.get().and_then(Option::as_ref).unwrap_unchecked()) }
}

unsafe extern "C" fn create(page_bytes: c_int, extra_bytes: c_int, purgeable: c_int) -> *mut sqlite3_pcache {
    let (Some(Some(own)), Ok(bytes @ 1..)) = (OWN.get(), c_uint::try_from(page_bytes)) else {
        return null_mut();
    };
    // SAFETY: handed on as it came.
    let inner = unsafe { (own.create)(page_bytes, extra_bytes, purgeable) };
    if inner.is_null() {
        return null_mut();
    }
    Box::into_raw(Box::new(PageCache { inner, spare: LOCKS_AT / bytes + 1 })).cast()
}

unsafe extern "C" fn set_size(cache: *mut sqlite3_pcache, pages: c_int) {
    // SAFETY: SQLite's handle, handed on.
    unsafe {
        let (cache, own) = of(cache);
        (own.set_size)(cache.inner, pages);
    }
}

unsafe extern "C" fn count(cache: *mut sqlite3_pcache) -> c_int {
    // SAFETY: SQLite's handle, handed on.
    unsafe {
        let (cache, own) = of(cache);
        (own.count)(cache.inner)
    }
}

unsafe extern "C" fn fetch(
    cache: *mut sqlite3_pcache,
    page: c_uint,
    make: c_int,
) -> *mut sqlite3_pcache_page {
    // SAFETY: SQLite's handle, handed on.
    unsafe {
        let (cache, own) = of(cache);
        (own.fetch)(cache.inner, cache.key(page), make)
    }
}

unsafe extern "C" fn unpin(cache: *mut sqlite3_pcache, page: *mut sqlite3_pcache_page, discard: c_int) {
    // SAFETY: SQLite's handle and page, handed on.
    unsafe {
        let (cache, own) = of(cache);
        (own.unpin)(cache.inner, page, discard);
    }
}

unsafe extern "C" fn rekey(
    cache: *mut sqlite3_pcache,
    page: *mut sqlite3_pcache_page,
    from: c_uint,
    to: c_uint,
) {
    // SAFETY: SQLite's handle and page, handed on; a page is known by the same number here as in `fetch`.
    unsafe {
        let (cache, own) = of(cache);
        (own.rekey)(cache.inner, page, cache.key(from), cache.key(to));
    }
}

unsafe extern "C" fn truncate(cache: *mut sqlite3_pcache, from: c_uint) {
    // SAFETY: SQLite's handle, handed on. No page has the spare number then: a swap ends before anything else begins.
    unsafe {
        let (cache, own) = of(cache);
        (own.truncate)(cache.inner, from);
    }
}

unsafe extern "C" fn destroy(cache: *mut sqlite3_pcache) {
    // SAFETY: SQLite gives the handle back that `create` made, once, and uses it no more.
    unsafe {
        let (inner, own) = (of(cache).0.inner, of(cache).1);
        drop(Box::from_raw(cache.cast::<PageCache>()));
        (own.destroy)(inner);
    }
}

unsafe extern "C" fn shrink(cache: *mut sqlite3_pcache) {
    // SAFETY: SQLite's handle, handed on.
    unsafe {
        let (cache, own) = of(cache);
        (own.shrink)(cache.inner);
    }
}
