//! Error numbers.

use core::ffi::c_int;

/// A positive `errno` value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(c_int);

/// What a system call, or a call of this library, returns.
pub type Result<T> = core::result::Result<T, Errno>;

macro_rules! names {
    ($($name:ident = $value:ident),* $(,)?) => {
        #[allow(missing_docs)] // Each is documented in errno(3).
        impl Errno {
            $(pub const $name: Errno = Errno(libc::$value);)*
        }
    };
}

names! {
    ACCES = EACCES, AGAIN = EAGAIN, BADF = EBADF, BUSY = EBUSY, CANCELED = ECANCELED,
    EXIST = EEXIST, FAULT = EFAULT, FBIG = EFBIG, INPROGRESS = EINPROGRESS, INTR = EINTR, INVAL = EINVAL, LOOP = ELOOP,
    NOENT = ENOENT, NOMEM = ENOMEM, NOSYS = ENOSYS, OPNOTSUPP = EOPNOTSUPP, PERM = EPERM,
    PIPE = EPIPE, SPIPE = ESPIPE, SRCH = ESRCH, TIME = ETIME, TIMEDOUT = ETIMEDOUT,
}

impl Errno {
    /// The form in which functions return it: negative.
    pub fn to_return(self) -> c_int {
        -self.0
    }

    /// The form in which an event carries it: negative.
    pub fn to_res(self) -> i64 {
        -i64::from(self.0)
    }

    /// The number itself, for `errno`.
    pub fn number(self) -> c_int {
        self.0
    }

    /// Splits what the kernel left in the result register.
    #[inline]
    pub fn check(ret: isize) -> Result<usize> {
        // The kernel returns errors as -4095..=-1 and nothing else in that range.
        if (-4095..0).contains(&ret) { Err(Errno(-ret as c_int)) } else { Ok(ret as usize) }
    }
}
