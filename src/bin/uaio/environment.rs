//! The variables that the library looks at. It says nothing about a value that it does not know,
//! so we do.

use std::ffi::OsString;

use crate::output;

/// Each variable and its values.
const VARIABLES: [(&str, &[&str]); 4] = [
    ("UAIO_ENGINE", &["kernel", "uring", "pool"]),
    ("UAIO_RING", &["always"]),
    ("UAIO_MAX_NR", &["kernel"]),
    ("UAIO_SYSCALL", &["off"]),
];

/// Prints a line about each variable whose value has no effect.
pub fn warn() {
    for warning in warnings(|name| std::env::var_os(name)) {
        output::complain(&warning);
    }
}

fn warnings(value_of: impl Fn(&str) -> Option<OsString>) -> Vec<String> {
    let warning = |&(name, values): &(&str, &[&str])| {
        let value = value_of(name).filter(|value| !value.is_empty())?;
        if values.iter().any(|known| value == *known) {
            return None;
        }
        let (value, known) = (value.display(), values.join(", "));
        Some(format!("warning: {name}={value} has no effect (known: {known})"))
    };
    VARIABLES.iter().filter_map(warning).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unknown_values_are_named() {
        for (name, values) in VARIABLES {
            let with = |value: &str| {
                warnings(|it| Some(OsString::from(value)).filter(|_| it == name)).join("\n")
            };
            for value in values.iter().chain(&[""]) {
                assert_eq!(with(value), "");
            }
            let warning = with("xyz");
            assert!(warning.contains(&format!("{name}=xyz")), "{warning}");
            assert!(values.iter().all(|value| warning.contains(value)), "{warning}");
        }
        assert!(warnings(|_| None).is_empty());
    }
}
