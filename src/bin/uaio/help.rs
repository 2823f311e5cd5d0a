//! The texts of `--help`.

/// `uaio --help`.
pub const GENERAL: &str = "\
uaio: libaio.so.1 in user space, without any kernel AIO call

usage: uaio run [--library PATH] [--] [PROGRAM [ARGS...]]
       uaio bench [options]
       uaio install --prefix DIR [options]
       uaio help [COMMAND]

  run        runs a program on this libaio; without a program, a demonstration
  bench      compares this libaio with the system's, on kernel AIO
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

LD_PRELOAD cannot hold a path with a space or a colon: such a library is preloaded through a link
in a directory in $TMPDIR, or else in /tmp, which is removed when the program has ended.

Without PROGRAM a demonstration runs: a small C program is compiled with this libaio's header,
copies 64 MiB with io_submit, polls a pipe, cancels a poll and compares checksums, while its
kernel AIO calls are counted. It works in a temporary directory in $TMPDIR, or else in the
current directory, and removes it.

      --library PATH    uses the library PATH instead of the one beside this command
  -h, --help            prints this text
";

/// `uaio help bench`.
pub const BENCH: &str = "\
usage: uaio bench [options]

Measures the system's libaio on kernel AIO and this libaio, as it is and on its engines, in one run, in
random order, and prints tables of the ratios with their spread. Each measurement is a process of
its own; any wrong result is a failure. Where there is no kernel AIO, the first engine is what the
others are compared with.

It works in a temporary directory in the current one, with a file of 256 MiB (64 MiB with
--quick), and removes it. About twenty minutes; not much else should run on the machine.

      --quick            some of the workloads, shorter: ends in 60 s
      --only PART        only workloads whose names contain PART, or the one that is called
                         so; may be repeated
      --list             prints the names of the workloads, and what they are
      --pairs N          rounds of each workload (default: 7)
      --seconds S        length of each measurement (default: 0.5; with --quick, 0.06)
      --engines LIST     of default, kernel, uring and pool, with commas (all but kernel)
      --file PATH        works in the directory PATH, or with the empty file PATH
      --file-systems     works on XFS and Btrfs, which it makes on loop devices (as root)
      --json FILE        writes all figures to FILE
      --svg FILE         draws bars of the ratios and curves of the latency to FILE
      --markdown         prints the tables as Markdown
      --library PATH     measures the library PATH instead of the one beside this command
      --native PATH      compares with the libaio PATH instead of the system's
  -h, --help             prints this text
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
