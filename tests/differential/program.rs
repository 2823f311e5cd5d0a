//! A program: calls of the runtime's functions with integers.

use std::fmt::Write as _;

/// One call: a function of `runtime/program.h` and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub name: &'static str,
    pub arguments: Vec<i64>,
}

/// What the worker runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    pub calls: Vec<Call>,
}

impl Program {
    pub fn call(&mut self, name: &'static str, arguments: &[i64]) {
        self.calls.push(Call { name, arguments: arguments.to_vec() });
    }

    /// As the worker reads it.
    pub fn lines(&self) -> String {
        let mut text = String::new();
        for call in &self.calls {
            text.push_str(call.name);
            for argument in &call.arguments {
                let _ = write!(text, " {argument}");
            }
            text.push('\n');
        }
        text.push_str(".\n");
        text
    }

    /// As a C program that prints the same transcript.
    pub fn c(&self, reason: &str) -> String {
        let mut text = String::from("/*\n");
        for line in reason.lines() {
            let _ = writeln!(text, " * {}", line.replace("*/", "* /"));
        }
        text.push_str(
            " *\n * gcc -std=gnu11 -pthread -I include -I tests/differential/runtime THIS -laio -ldl\n */\n\
             #include \"program.h\"\n\nint main(void)\n{\n\tbegin();\n",
        );
        for call in &self.calls {
            let arguments: Vec<_> = call.arguments.iter().map(|value| constant(*value)).collect();
            let _ = writeln!(text, "\tcall({}, {});", call.name, arguments.join(", "));
        }
        text.push_str("\tend();\n\tfputs(transcript, stdout);\n\treturn 0;\n}\n");
        text
    }
}

/// The smallest number has no literal in C.
fn constant(value: i64) -> String {
    match value {
        i64::MIN => "(-9223372036854775807 - 1)".to_string(),
        _ => value.to_string(),
    }
}
