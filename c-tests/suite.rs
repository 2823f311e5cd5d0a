//! Runs each `c-tests/*.c` on the system's libaio and on this library in each of its settings, and
//! requires the same text on stdout.
//!
//! A test program states facts (`check.h` says how). `system::NAME` runs it on the kernel's AIO:
//! the program must pass there, or the test itself is wrong. `uaio::NAME` runs it on this library
//! as it comes, `uaio-uring::NAME` and `uaio-pool::NAME` with that `UAIO_ENGINE`,
//! `uaio-always::NAME` with `UAIO_RING=always`, and compares. Exit status 0 is a pass, 77 a skip whose reason is the last line
//! of stdout.
//!
//! Comments at the top of a C file, one a line, change this:
//! - `/* only: WHO: REASON */`: nowhere else. WHO is `system`, `uaio` (in every setting), `kernel` (as it
//!   comes), `uring` (with that engine or `always`), `pool` or `always`;
//! - `/* not: WHO: REASON */`: everywhere else;
//! - `/* timeout: SECONDS */`: more than the usual 30.
//!
//! Environment:
//! - `UAIO_LIB=PATH`: the shared library to test; else the one cargo has just built.
//! - `UAIO_WRAP="valgrind -q --error-exitcode=9"`: a command that runs the programs on ours.
//! - `UAIO_CFLAGS`, `UAIO_LDFLAGS`: more options for the compiler, when it compiles and when it links,
//!   such as those of a sanitizer.
//! - `UAIO_REQUIRE_ALL=1`: a skipped test is a failed test.
//!
//! The programs themselves find in `C_TEST_ON` which of these names theirs is.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use object::{Object, ObjectSymbol};

/// Exit status of a program that cannot run here.
const SKIP: i32 = 77;

/// What only our library has in it: a variable that it looks at.
const MARK: &[u8] = b"UAIO_ENGINE";

/// Programs whose names begin like this need a library that defines `syscall`. One that packagers
/// have linked with GNU ld does not.
const RAW: &str = "syscall_";

/// The program whose stdout names the file that holds each function.
const IDENTITY: &str = "library_identity";

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let suite = Arc::new(Suite::new());
    let programs = suite.programs();
    let mut trials = Vec::new();
    for setting in Setting::ALL {
        for program in programs.iter().filter(|program| program.runs_in(setting)) {
            let name = format!("{}::{}", setting.name(), program.name);
            let (suite, program) = (Arc::clone(&suite), Arc::clone(program));
            trials.push(Trial::ignorable_test(name, move || suite.judge(&program, setting)));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !conclusion.has_failed() {
        let _ = fs::remove_dir_all(&suite.scratch);
    }
    conclusion.exit_code()
}

/// The variables that settings are made of.
const VARIABLES: [&str; 2] = ["UAIO_ENGINE", "UAIO_RING"];

/// A library, and how it is told to work.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Setting {
    System,
    Uaio,
    Uring,
    Pool,
    Always,
}

impl Setting {
    const ALL: [Setting; 5] =
        [Setting::System, Setting::Uaio, Setting::Uring, Setting::Pool, Setting::Always];

    fn name(self) -> &'static str {
        match self {
            Setting::System => "system",
            Setting::Uaio => "uaio",
            Setting::Uring => "uaio-uring",
            Setting::Pool => "uaio-pool",
            Setting::Always => "uaio-always",
        }
    }

    fn variable(self) -> Option<(&'static str, &'static str)> {
        match self {
            Setting::System | Setting::Uaio => None,
            Setting::Uring => Some(("UAIO_ENGINE", "uring")),
            Setting::Pool => Some(("UAIO_ENGINE", "pool")),
            Setting::Always => Some(("UAIO_RING", "always")),
        }
    }

    fn is_ours(self) -> bool {
        self != Setting::System
    }

    /// Those that the name in a comment means.
    fn named(who: &str) -> Option<Vec<Setting>> {
        let chosen = |is_meant: fn(Setting) -> bool| {
            Some(Setting::ALL.into_iter().filter(|setting| is_meant(*setting)).collect())
        };
        match who {
            "system" => Some(vec![Setting::System]),
            "uaio" => chosen(Setting::is_ours),
            "kernel" => Some(vec![Setting::Uaio]),
            "uring" => Some(vec![Setting::Uring, Setting::Always]),
            "pool" => Some(vec![Setting::Pool]),
            "always" => Some(vec![Setting::Always]),
            _ => None,
        }
    }
}

/// A shared library and the directory that programs load it from, by its soname.
struct Library {
    file: PathBuf,
    directory: PathBuf,
}

struct Suite {
    sources: PathBuf,
    /// On the disk, not in /tmp: tests open files there with O_DIRECT.
    scratch: PathBuf,
    ours: Library,
    /// Whether ours takes the place of libc's syscall().
    has_syscall: bool,
    /// Or why there is nothing to compare with.
    system: Result<Library, String>,
    /// Or why the kernel has no io_uring for us.
    uring: Result<(), String>,
    require_all: bool,
    wrap: Vec<String>,
}

/// One C file. What all settings need is made once, by whoever comes first.
struct Program {
    name: String,
    source: PathBuf,
    settings: Vec<Setting>,
    timeout: Duration,
    binary: OnceLock<Result<PathBuf, String>>,
    system_run: OnceLock<Result<Run, String>>,
}

/// What a program did.
struct Run {
    /// `None`: killed, because its time was up.
    status: Option<ExitStatus>,
    stdout: String,
    stderr: String,
    /// Where it ran; what it leaves there stays if it fails.
    place: PathBuf,
}

impl Suite {
    fn new() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let scratch =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("c_suite-{}", std::process::id()));
        // What failed leaves its directory, and process ids come again, in containers soon.
        let _ = fs::remove_dir_all(&scratch);
        fs::create_dir_all(scratch.join("bin")).expect("create the scratch directory");

        let ours = our_library();
        let system = system_library(&ours).and_then(|file| match kernel_aio() {
            Ok(()) => Ok(stage(&scratch, "system", file)),
            Err(error) => Err(format!("no kernel AIO: io_setup: {error}")),
        });
        Suite {
            sources: root.join("c-tests"),
            has_syscall: defines_syscall(&ours),
            ours: stage(&scratch, "uaio", ours),
            system,
            uring: kernel_uring().map_err(|error| format!("no io_uring: {error}")),
            require_all: env::var_os("UAIO_REQUIRE_ALL").is_some_and(|value| value == "1"),
            wrap: words("UAIO_WRAP"),
            scratch,
        }
    }

    fn programs(&self) -> Vec<Arc<Program>> {
        let files = fs::read_dir(&self.sources).expect("read c-tests");
        let by_name: BTreeMap<_, _> = files
            .map(|entry| entry.expect("read c-tests").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "c"))
            .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), path))
            .collect();
        assert!(!by_name.is_empty(), "no C files in {}", self.sources.display());
        by_name.into_iter().map(|(name, source)| Arc::new(Program::new(name, source))).collect()
    }

    fn judge(&self, program: &Program, setting: Setting) -> Result<Completion, Failed> {
        match self.compare(program, setting)? {
            Completion::Ignored { reason } if self.require_all => {
                Err(format!("skipped: {}", reason.unwrap_or_default()).into())
            }
            completion => Ok(completion),
        }
    }

    fn compare(&self, program: &Program, setting: Setting) -> Result<Completion, Failed> {
        let library = match (setting, &self.system) {
            (Setting::System, Ok(library)) => library,
            (Setting::System, Err(reason)) => return Ok(Completion::ignored_with(reason)),
            _ => &self.ours,
        };
        // Without io_uring every setting is the pool.
        let needs_uring = setting.is_ours() && !program.runs_in(Setting::Pool);
        if let (true, Err(reason)) = (needs_uring, &self.uring) {
            return Ok(Completion::ignored_with(reason));
        }
        if setting.is_ours() && program.name.starts_with(RAW) && !self.has_syscall {
            return Ok(Completion::ignored_with("the library does not define syscall()"));
        }
        let own_run;
        let run = match setting {
            Setting::System => self.system_run(program, library)?,
            _ => {
                own_run = self.run(program, setting, library)?;
                &own_run
            }
        };
        if let Some(reason) = run.skipped() {
            return Ok(Completion::ignored_with(reason));
        }
        run.passed()?;
        if program.name == IDENTITY {
            return require_identity(&run.stdout, library);
        }
        let (true, true, Ok(system)) =
            (setting.is_ours(), program.runs_in(Setting::System), &self.system)
        else {
            return Ok(Completion::Completed);
        };
        let reference = self.system_run(program, system)?;
        // A program that fails on the kernel's AIO is reported by that trial.
        if reference.passed().is_ok() && reference.stdout != run.stdout {
            return Err(difference(&reference.stdout, &run.stdout).into());
        }
        Ok(Completion::Completed)
    }

    fn system_run<'a>(&self, program: &'a Program, library: &Library) -> Result<&'a Run, Failed> {
        program
            .system_run
            .get_or_init(|| self.run(program, Setting::System, library))
            .as_ref()
            .map_err(Failed::from)
    }

    fn run(&self, program: &Program, setting: Setting, library: &Library) -> Result<Run, String> {
        let binary =
            program.binary.get_or_init(|| self.compile(program)).as_ref().map_err(String::clone)?;
        let place = self.scratch.join(setting.name()).join(&program.name);
        let directory = place.join("work");
        fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", place.display()))?;

        let wrap = if setting.is_ours() { self.wrap.as_slice() } else { &[] };
        let mut command = match wrap {
            [] => Command::new(binary),
            [wrapper, arguments @ ..] => {
                let mut command = Command::new(wrapper);
                command.args(arguments).arg(binary);
                command
            }
        };
        command
            .current_dir(&directory)
            .env("LD_LIBRARY_PATH", &library.directory)
            .env_remove("LD_PRELOAD")
            .env("LC_ALL", "C")
            .env("C_TEST_ON", setting.name())
            .stdin(Stdio::null());
        for variable in VARIABLES {
            command.env_remove(variable);
        }
        command.envs(setting.variable());
        // A wrapper such as valgrind is some twenty times slower.
        let timeout = program.timeout * if wrap.is_empty() { 1 } else { 20 };
        let run = run_to_end(&mut command, &place, timeout)
            .map_err(|error| format!("{command:?}: {error}"))?;
        if run.passed().is_ok() {
            let _ = fs::remove_dir_all(&place);
        }
        Ok(run)
    }

    /// Compiles against the header of this package, and links with this library by path.
    fn compile(&self, program: &Program) -> Result<PathBuf, String> {
        let target = format!("{}-unknown-linux-gnu", env::consts::ARCH);
        let compiler = cc::Build::new()
            .cargo_metadata(false)
            .target(&target)
            .host(&target)
            .opt_level(1)
            .try_get_compiler()
            .map_err(|error| format!("no C compiler: {error}"))?;
        let binary = self.scratch.join("bin").join(&program.name);
        let object = binary.with_extension("o");
        let mut compile = compiler.to_command();
        compile
            .args(["-std=gnu11", "-g", "-Wall", "-Wextra", "-Werror", "-pthread", "-c", "-I"])
            .arg(self.sources.with_file_name("include"))
            .args(words("UAIO_CFLAGS"))
            .arg(&program.source)
            .arg("-o")
            .arg(&object);
        let mut link = compiler.to_command();
        link.arg("-pthread")
            .arg(&object)
            .arg("-o")
            .arg(&binary)
            .arg(self.ours.directory.join("libaio.so"))
            .arg("-ldl")
            .args(words("UAIO_LDFLAGS"));
        for command in [&mut compile, &mut link] {
            let output = command.output().map_err(|error| format!("the C compiler: {error}"))?;
            if !output.status.success() {
                return Err(String::from_utf8_lossy(&output.stderr).into_owned());
            }
        }
        Ok(binary)
    }
}

impl Program {
    fn new(name: String, source: PathBuf) -> Self {
        let text = fs::read_to_string(&source).expect("read the C file");
        let tags = |key: &str| -> Vec<String> {
            let lines = text.lines().take_while(|line| line.starts_with("/*"));
            lines
                .filter_map(|line| line.strip_prefix(&format!("/* {key}: ")))
                .map(|value| value.trim_end_matches("*/").trim().to_string())
                .collect()
        };
        let fault = |what: &str| -> ! { panic!("{}: {what}", source.display()) };
        let named = |value: &String| match value.split_once(": ") {
            Some((who, reason)) if !reason.is_empty() => Setting::named(who),
            _ => None,
        };
        let mut settings = Setting::ALL.to_vec();
        for (key, is_kept) in [("only", true), ("not", false)] {
            for value in tags(key) {
                let Some(meant) = named(&value) else {
                    fault("expected /* only|not: WHO: REASON */ with a WHO that is known")
                };
                settings.retain(|setting| meant.contains(setting) == is_kept);
            }
        }
        if settings.is_empty() {
            fault("runs nowhere");
        }
        let timeout = tags("timeout").first().map_or(30, |value| match value.parse() {
            Ok(seconds) => seconds,
            Err(_) => fault("expected /* timeout: SECONDS */"),
        });
        if !text.contains("Description:") {
            fault("says nothing after Description:");
        }
        Program {
            name,
            source,
            settings,
            timeout: Duration::from_secs(timeout),
            binary: OnceLock::new(),
            system_run: OnceLock::new(),
        }
    }

    fn runs_in(&self, setting: Setting) -> bool {
        self.settings.contains(&setting)
    }
}

impl Run {
    /// The program's reason, if it cannot run here.
    fn skipped(&self) -> Option<String> {
        let is_skip = self.status.is_some_and(|status| status.code() == Some(SKIP));
        is_skip.then(|| self.stdout.lines().last().unwrap_or("no reason given").to_string())
    }

    fn passed(&self) -> Result<(), String> {
        let verdict = match self.status {
            Some(status) if status.success() => return Ok(()),
            Some(status) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("exit status {code}"),
                (None, signal) => format!("killed by signal {}", signal.unwrap_or_default()),
            },
            None => "killed: its time was up".to_string(),
        };
        let Run { stdout, stderr, place, .. } = self;
        let place = place.display();
        Err(format!("{verdict} in {place}\n-- stdout --\n{stdout}-- stderr --\n{stderr}"))
    }
}

/// The words in a variable of the environment.
fn words(variable: &str) -> Vec<String> {
    let text = env::var(variable).unwrap_or_default();
    text.split_whitespace().map(str::to_string).collect()
}

/// The cdylib that cargo has built for this very test run, or `UAIO_LIB`.
///
/// Cargo leaves it beside the test binary; one level up there may be a stale one.
fn our_library() -> PathBuf {
    let file = match env::var_os("UAIO_LIB") {
        Some(path) => PathBuf::from(path),
        None => env::current_exe().unwrap().with_file_name("libaio.so"),
    };
    match file.canonicalize() {
        Ok(file) => file,
        Err(error) => panic!("{}: {error}: no library to test", file.display()),
    }
}

fn defines_syscall(library: &Path) -> bool {
    let bytes = fs::read(library).expect("read the library");
    let file = object::File::parse(&*bytes).expect("the library is an ELF file");
    file.dynamic_symbols()
        .any(|symbol| symbol.is_definition() && symbol.name_bytes() == Ok(b"syscall"))
}

/// The libaio of this machine.
fn system_library(ours: &Path) -> Result<PathBuf, String> {
    let multiarch = format!("{}-linux-gnu", env::consts::ARCH);
    let directories = [
        format!("/lib/{multiarch}"),
        format!("/usr/lib/{multiarch}"),
        "/lib64".to_string(),
        "/usr/lib64".to_string(),
        "/usr/lib".to_string(),
        "/lib".to_string(),
        "/usr/local/lib".to_string(),
    ];
    let candidates = directories.iter().flat_map(|directory| {
        ["libaio.so.1", "libaio.so.1t64"].map(|name| Path::new(directory).join(name))
    });
    let mut reason = "no libaio.so.1 in the library directories".to_string();
    for candidate in candidates {
        let Ok(file) = candidate.canonicalize() else { continue };
        // This library may be installed as the system's own: then it proves nothing.
        let is_uaio = fs::read(&file)
            .is_ok_and(|bytes| bytes.windows(MARK.len()).any(|window| window == MARK));
        if is_uaio && file != ours {
            reason = format!("{} is uaio", file.display());
            continue;
        }
        return Ok(file);
    }
    Err(reason)
}

/// Whether the kernel answers io_setup, without any library.
fn kernel_aio() -> io::Result<()> {
    let mut context: libc::c_ulong = 0;
    // SAFETY: io_setup writes one word to `context`, which outlives the call.
    if unsafe { libc::syscall(libc::SYS_io_setup, 1, &raw mut context) } == 0 {
        // SAFETY: the context was made by the call above, and nothing refers to it.
        unsafe { libc::syscall(libc::SYS_io_destroy, context) };
        return Ok(());
    }
    match io::Error::last_os_error() {
        // Other processes hold all of fs.aio-max-nr for a moment: kernel AIO is there.
        error if error.raw_os_error() == Some(libc::EAGAIN) => Ok(()),
        error => Err(error),
    }
}

/// Whether the kernel makes an io_uring.
fn kernel_uring() -> io::Result<()> {
    // The kernel's io_uring_params: 120 bytes, all of which may be 0.
    let mut parameters = [0u64; 15];
    // SAFETY: io_uring_setup reads and writes the 120 bytes of `parameters`, which outlives the
    // call.
    let ring = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, parameters.as_mut_ptr()) };
    let ring = i32::try_from(ring).map_err(io::Error::other)?;
    if ring < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was made by the call above, and nobody else knows it.
    unsafe { libc::close(ring) };
    Ok(())
}

/// A directory where programs find `file` under the names that they were linked with.
fn stage(scratch: &Path, name: &str, file: PathBuf) -> Library {
    let directory = scratch.join("lib").join(name);
    fs::create_dir_all(&directory).expect("create the library directory");
    for soname in ["libaio.so.1", "libaio.so.1t64"] {
        symlink(&file, directory.join(soname)).expect("stage the library");
    }
    symlink("libaio.so.1", directory.join("libaio.so")).expect("stage the library");
    Library { file, directory }
}

/// Each line of the program's output names a function and the file it was found in.
fn require_identity(stdout: &str, library: &Library) -> Result<Completion, Failed> {
    for line in stdout.lines() {
        let (function, file) = line.split_once(": ").unwrap_or((line, ""));
        if Path::new(file).canonicalize().ok().as_ref() != Some(&library.file) {
            return Err(format!("{function} is in {file}, not in {:?}", library.file).into());
        }
    }
    match stdout.lines().next() {
        Some(_) => Ok(Completion::Completed),
        None => Err("the program named no function".into()),
    }
}

fn run_to_end(command: &mut Command, place: &Path, timeout: Duration) -> io::Result<Run> {
    let output = |name: &str| place.join(name);
    // Files, not pipes: a forked child that outlives the program must not keep us waiting.
    let mut child = command
        .stdout(File::create(output("stdout"))?)
        .stderr(File::create(output("stderr"))?)
        .process_group(0)
        .spawn()?;
    let status = wait_until(&mut child, Instant::now() + timeout)?;
    let text = |name: &str| -> io::Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(output(name))?).into_owned())
    };
    let (stdout, stderr) = (text("stdout")?, text("stderr")?);
    Ok(Run { status, stdout, stderr, place: place.to_path_buf() })
}

/// `None`: the time was up, and the program and its children have been killed.
fn wait_until(child: &mut Child, deadline: Instant) -> io::Result<Option<ExitStatus>> {
    let mut nap = Duration::from_micros(500);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            let group = i32::try_from(child.id()).map_err(io::Error::other)?;
            // SAFETY: kill reads no memory. The group's leader has not been waited for, so its
            // number cannot belong to anyone else.
            unsafe { libc::kill(-group, libc::SIGKILL) };
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(nap);
        nap = (nap * 2).min(Duration::from_millis(20));
    }
}

/// The lines in which two transcripts differ, without what they share before and after.
fn difference(system: &str, ours: &str) -> String {
    let mut system: Vec<&str> = system.lines().collect();
    let mut ours: Vec<&str> = ours.lines().collect();
    while system.last() == ours.last() && system.pop().is_some() {
        ours.pop();
    }
    let shared = system.iter().zip(&ours).take_while(|(left, right)| left == right).count();
    let mut text = format!("stdout differs from line {} on\n", shared + 1);
    for (mark, lines) in [("- system", &system), ("+ uaio", &ours)] {
        for line in lines.iter().skip(shared) {
            let _ = writeln!(text, "{mark}: {line}");
        }
    }
    text
}
