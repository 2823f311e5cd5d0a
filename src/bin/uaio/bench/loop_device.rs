//! Loop devices, by the kernel's own interface: what has a device goes away with the process.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

// include/uapi/linux/loop.h
const LOOP_CTL_GET_FREE: u32 = 0x4c82;
const LOOP_CONFIGURE: u32 = 0x4c0a;
/// The device lets go of its file when nobody has it open.
const LO_FLAGS_AUTOCLEAR: u32 = 4;
/// The file is accessed as with O_DIRECT, if its file system can do that.
const LO_FLAGS_DIRECT_IO: u32 = 16;

/// Others may take a device that is free before we do.
const ATTEMPTS: usize = 10;

/// `struct loop_config`.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo,
    reserved: [u64; 8],
}

/// `struct loop_info64`.
#[repr(C)]
struct LoopInfo {
    device: [u64; 3],
    offset: u64,
    size_limit: u64,
    number: u32,
    encryption: [u32; 2],
    flags: u32,
    names: [u8; 160],
    init: [u64; 2],
}

const _: () = assert!(size_of::<LoopInfo>() == 232 && size_of::<LoopConfig>() == 304);

/// A device whose blocks are those of a file. It stays as long as it is open or mounted.
pub struct LoopDevice {
    /// Where it is.
    pub path: PathBuf,
    /// Keeps it.
    _device: File,
}

impl LoopDevice {
    /// Takes a device that is free.
    pub fn attach(image: &File) -> io::Result<LoopDevice> {
        let control = File::options().read(true).write(true).open("/dev/loop-control")?;
        let mut last = io::Error::from_raw_os_error(libc::EBUSY);
        for _ in 0..ATTEMPTS {
            // SAFETY: this request takes no argument.
            let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE.into()) };
            if number < 0 {
                return Err(io::Error::last_os_error());
            }
            let path = Path::new("/dev").join(format!("loop{number}"));
            let device = File::options().read(true).write(true).open(&path)?;
            match configure(&device, image) {
                Ok(()) => return Ok(LoopDevice { path, _device: device }),
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }
}

fn configure(device: &File, image: &File) -> io::Result<()> {
    let info = LoopInfo {
        device: [0; 3],
        offset: 0,
        size_limit: 0,
        number: 0,
        encryption: [0; 2],
        flags: LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO,
        names: [0; 160],
        init: [0; 2],
    };
    let config = LoopConfig { fd: image.as_raw_fd() as u32, block_size: 0, info, reserved: [0; 8] };
    // SAFETY: the kernel reads one `struct loop_config`.
    match unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE.into(), &raw const config) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
