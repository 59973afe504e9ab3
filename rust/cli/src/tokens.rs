//! Token lists on the command line: `1,2,3`, or `@FILE` with the same text.

use std::path::PathBuf;
use std::str::FromStr;

use crate::error::CliError;

/// A list as given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TokenList {
    /// `1,2,3`
    Ids(Vec<u32>),
    /// `@FILE`
    File(PathBuf),
}

impl TokenList {
    /// The ids, read from the file if one is given.
    pub(crate) fn ids(&self) -> Result<Vec<u32>, CliError> {
        match self {
            TokenList::Ids(ids) => Ok(ids.clone()),
            TokenList::File(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| CliError::file(path, error))?;
                parse(&text).map_err(|error| CliError::Input(format!("{}: {error}", path.display())))
            }
        }
    }
}

impl FromStr for TokenList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix('@') {
            Some(path) => Ok(TokenList::File(path.into())),
            None => parse(text).map(TokenList::Ids),
        }
    }
}

/// Commas between ids; spaces, line breaks and the brackets of a JSON array are allowed.
fn parse(text: &str) -> Result<Vec<u32>, String> {
    let text = text.trim();
    let text = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let id = |part: &str| part.trim().parse().map_err(|_| format!("{:?} is not a token id", part.trim()));
    text.split(',').map(id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_people_and_programs_write_them() {
        assert_eq!(parse("1,2,3"), Ok(vec![1, 2, 3]));
        assert_eq!(parse(" [1, 2,\n3]\n"), Ok(vec![1, 2, 3]));
        assert_eq!("@a,b".parse(), Ok(TokenList::File("a,b".into())));
        for bad in ["", "1,,2", "1;2", "-1", "4294967296", "1,x"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
