//! What the program of the demonstration tells about itself: lines of a name and a value.

use std::collections::HashMap;
use std::time::Duration;

/// The last value of each name.
#[derive(Default)]
pub struct Facts(HashMap<String, String>);

/// A name that should be there and is not, or not as a number.
#[derive(Debug, PartialEq)]
pub struct Missing(pub &'static str);

impl Facts {
    /// Takes one line.
    pub fn add(&mut self, line: &str) {
        if let Some((name, value)) = line.split_once(' ') {
            self.0.insert(name.to_string(), value.to_string());
        }
    }

    /// A value as it is.
    pub fn text(&self, name: &'static str) -> Result<&str, Missing> {
        self.0.get(name).map(String::as_str).ok_or(Missing(name))
    }

    /// A decimal number.
    pub fn number(&self, name: &'static str) -> Result<u64, Missing> {
        self.text(name)?.parse().map_err(|_| Missing(name))
    }

    /// A checksum.
    pub fn sum(&self, name: &'static str) -> Result<u64, Missing> {
        u64::from_str_radix(self.text(name)?, 16).map_err(|_| Missing(name))
    }

    /// A number of nanoseconds.
    pub fn duration(&self, name: &'static str) -> Result<Duration, Missing> {
        self.number(name).map(Duration::from_nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_of_a_name_counts() {
        let mut facts = Facts::default();
        for line in ["copied 1", "library /a b/libaio.so", "copied 22", "sum ff", "noise"] {
            facts.add(line);
        }
        assert_eq!(facts.number("copied"), Ok(22));
        assert_eq!(facts.text("library"), Ok("/a b/libaio.so"));
        assert_eq!(facts.sum("sum"), Ok(255));
        assert_eq!(facts.number("sum"), Err(Missing("sum")));
        assert_eq!(facts.text("noise"), Err(Missing("noise")));
    }
}
