//! A libaio that was loaded by its path, and the contexts made with it.

use std::ffi::{CStr, CString, OsStr, c_int, c_long, c_void};
use std::fs;
use std::mem::transmute;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use aio::aio_abi::{AioRing, Event, Iocb};

use super::{Outcome, Stop, fail};

type SetupFn = unsafe extern "C" fn(c_int, *mut usize) -> c_int;
type DestroyFn = unsafe extern "C" fn(usize) -> c_int;
type SubmitFn = unsafe extern "C" fn(usize, c_long, *const *mut Iocb) -> c_int;
type GeteventsFn =
    unsafe extern "C" fn(usize, c_long, c_long, *mut Event, *mut libc::timespec) -> c_int;

/// The functions of one library.
pub struct Libaio {
    setup: SetupFn,
    destroy: DestroyFn,
    submit: SubmitFn,
    getevents: GeteventsFn,
}

impl Libaio {
    /// Loads the library at `path` and makes sure that its own functions answer.
    pub fn load(path: &Path) -> Outcome<Libaio> {
        let failed = |what: String| Stop::Fail(format!("{}: {what}", path.display()));
        let name = CString::new(path.as_os_str().as_bytes()).map_err(|e| failed(e.to_string()))?;
        // SAFETY: `name` ends with NUL. The library's constructors run, as in any program.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        if handle.is_null() {
            return Err(failed(last_dl_error()));
        }
        let find = |symbol: &CStr, version: &CStr| -> Outcome<*mut c_void> {
            // SAFETY: the handle is open, and both strings end with NUL.
            let found = unsafe { libc::dlvsym(handle, symbol.as_ptr(), version.as_ptr()) };
            if found.is_null() {
                return Err(failed(last_dl_error()));
            }
            if !is_in(found, path) {
                let symbol = symbol.to_string_lossy();
                return Err(failed(format!("{symbol} is another library's")));
            }
            Ok(found)
        };
        // SAFETY: these are the types that libaio.h declares for these versions. The library is
        // never closed.
        unsafe {
            Ok(Libaio {
                setup: transmute::<*mut c_void, SetupFn>(find(c"io_setup", c"LIBAIO_0.4")?),
                destroy: transmute::<*mut c_void, DestroyFn>(find(c"io_destroy", c"LIBAIO_0.4")?),
                submit: transmute::<*mut c_void, SubmitFn>(find(c"io_submit", c"LIBAIO_0.1")?),
                getevents: transmute::<*mut c_void, GeteventsFn>(find(
                    c"io_getevents",
                    c"LIBAIO_0.4",
                )?),
            })
        }
    }

    /// Makes a context for `events` requests. It lives until it is destroyed or the process ends.
    pub fn setup(&self, events: usize) -> Outcome<Context<'_>> {
        let mut address = 0;
        let events = c_int::try_from(events).unwrap_or(c_int::MAX);
        // SAFETY: io_setup writes one context.
        let result = unsafe { (self.setup)(events, &raw mut address) };
        match result {
            0 => Ok(Context { library: self, address }),
            // The host-wide limit, which is no fault of the library.
            _ if result == -libc::EAGAIN => {
                Err(Stop::Skip("io_setup gives EAGAIN: fs.aio-max-nr is too small".to_string()))
            }
            _ => fail("io_setup", -result),
        }
    }
}

fn last_dl_error() -> String {
    // SAFETY: dlerror returns NULL or a string that lives until the next call.
    unsafe {
        let text = libc::dlerror();
        if text.is_null() {
            return "unknown error".to_string();
        }
        CStr::from_ptr(text).to_string_lossy().into_owned()
    }
}

/// Whether `function` lies in the file at `path`.
fn is_in(function: *const c_void, path: &Path) -> bool {
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::uninit();
    // SAFETY: `info` is read only when dladdr has filled it; the name lives with the library.
    let file = unsafe {
        if libc::dladdr(function, info.as_mut_ptr()) == 0 {
            return false;
        }
        CStr::from_ptr(info.assume_init().dli_fname)
    };
    let file = fs::canonicalize(Path::new(OsStr::from_bytes(file.to_bytes())));
    file.is_ok_and(|file| fs::canonicalize(path).is_ok_and(|path| path == file))
}

/// An io_context_t.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    library: &'a Libaio,
    address: usize,
}

impl Context<'_> {
    /// Submits all of `iocbs`; fewer accepted is a failure.
    ///
    /// # Safety
    /// The iocbs, and the buffers that they name, are valid until their events are reaped.
    pub unsafe fn submit(&self, iocbs: &[*mut Iocb]) -> Outcome {
        let count = iocbs.len();
        // SAFETY: the array has `count` pointers, and the caller vouches for what they point to.
        let result =
            unsafe { (self.library.submit)(self.address, count as c_long, iocbs.as_ptr()) };
        match usize::try_from(result) {
            Ok(accepted) if accepted == count => Ok(()),
            Ok(accepted) => Err(Stop::Fail(format!("io_submit accepted {accepted} of {count}"))),
            Err(_) => fail("io_submit", -result),
        }
    }

    /// Reaps at least `min` events, without a time limit.
    pub fn reap<'e>(&self, min: usize, events: &'e mut [Event]) -> Outcome<&'e [Event]> {
        // SAFETY: the library writes at most `events.len()` events.
        let result = unsafe {
            (self.library.getevents)(
                self.address,
                min as c_long,
                events.len() as c_long,
                events.as_mut_ptr(),
                std::ptr::null_mut(),
            )
        };
        match usize::try_from(result) {
            Ok(got) if got >= min => Ok(events.get(..got).unwrap_or_default()),
            Ok(got) => Err(Stop::Fail(format!("io_getevents returned {got}, not {min} or more"))),
            Err(_) => fail("io_getevents", -result),
        }
    }

    /// Destroys the context.
    pub fn destroy(self) -> Outcome {
        // SAFETY: passes a number; the library knows its contexts.
        match unsafe { (self.library.destroy)(self.address) } {
            0 => Ok(()),
            result => fail("io_destroy", -result),
        }
    }

    /// The ring at the context's address.
    pub fn ring(&self) -> *mut AioRing {
        self.address as *mut AioRing
    }
}
