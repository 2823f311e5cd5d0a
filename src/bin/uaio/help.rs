//! The texts of `--help`.

/// `uaio --help`.
pub const GENERAL: &str = "\
uaio: libaio.so.1 in user space, without any kernel AIO call

usage: uaio run [--library PATH] [--] [PROGRAM [ARGS...]]
       uaio install --prefix DIR [options]
       uaio help [COMMAND]

  run        runs a program on this libaio; without a program, a demonstration
  install    installs the library, its header, libaio.pc and this command
  help       explains a command

  -h, --help       prints this text
  -V, --version    prints the version

Exit status: 2 for bad input, 1 for a job that failed; 'run' passes on its program's.
";

/// `uaio help run`.
pub const RUN: &str = "\
usage: uaio run [--library PATH] [--] [PROGRAM [ARGS...]]

Runs PROGRAM with this libaio put before all other libraries (LD_PRELOAD), so that it answers
the program's io_setup, io_submit and so on. The program takes the place of this command: exit
status and signals are its own. Programs that LD_PRELOAD cannot reach are refused: statically
linked ones, and those that run with another user's rights or with file capabilities.

Without PROGRAM a demonstration runs: a small C program is compiled with this libaio's header,
copies 64 MiB with io_submit, polls a pipe, cancels a poll and compares checksums, while its
kernel AIO calls are counted. It works in a temporary directory in $TMPDIR, or else in the
current directory, and removes it.

      --library PATH    uses the library PATH instead of the one beside this command
  -h, --help            prints this text
";

/// `uaio help install`.
pub const INSTALL: &str = "\
usage: uaio install --prefix DIR [options]

Installs libaio.so and its links, libaio.a, libaio.h, libaio.pc and this command. Either
everything is installed or nothing is changed. Files that are not from uaio are not replaced.

      --prefix DIR        root of the installation, absolute
      --libdir DIR        libraries, in the prefix unless absolute (default: lib)
      --includedir DIR    header, in the prefix unless absolute (default: include)
      --destdir DIR       writes below DIR what will later be below /, for packages
      --library PATH      installs the library PATH, and libaio.a beside it, instead of the
                          ones beside this command
  -h, --help              prints this text
";
