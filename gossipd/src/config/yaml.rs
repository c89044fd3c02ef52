//! `core.yaml` as keys with what was written for them, and where.

use std::{
    collections::BTreeMap,
    fmt,
    fs::File,
    io::{self, Read},
    path::Path,
};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::Spanned;

use super::value::Written;

/// What a file says of a key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Entry {
    /// The key as the file spells it.
    pub(crate) name: String,
    /// The line, from 1, of the value.
    pub(crate) line: u64,
    /// The value; `None` if the key stands there without one.
    pub(crate) written: Option<Written>,
}

/// Reads a file, and returns what it says by key in lower case.
///
/// # Errors
///
/// Names file and line, and what was expected there.
pub(crate) fn read(path: &Path) -> Result<BTreeMap<String, Entry>, String> {
    let name = path.display();
    let expected = |error| format!("{name}: expected a core.yaml: {error}");
    let text = read_text(path).map_err(expected)?;
    parse(&text).map_err(|(line, problem)| format!("{name}:{line}: {problem}"))
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let length = File::open(path)?.take(FILE_LEN_MAX + 1).read_to_string(&mut text)?;
    match length as u64 > FILE_LEN_MAX {
        true => Err(io::Error::other(format!("larger than {FILE_LEN_MAX} bytes"))),
        false => Ok(text),
    }
}

fn parse(text: &str) -> Result<BTreeMap<String, Entry>, (u64, String)> {
    let root: Option<Spanned<Node>> = serde_saphyr::from_str(text).map_err(|error| {
        let line = error.location().map_or(1, |place| place.line());
        (line, format!("expected YAML: {}", error.without_snippet()))
    })?;
    let mut entries = BTreeMap::new();
    match root.map(|root| (root.referenced.line(), root.value)) {
        None | Some((_, Node::Null)) => {}
        Some((_, Node::Map(map))) => flatten("", map, &mut entries)?,
        Some((line, _)) => return Err((line, "expected keys with values".to_owned())),
    }
    Ok(entries)
}

/// A file cannot nest deeper than the YAML reader lets it.
fn flatten(
    prefix: &str,
    map: Vec<(String, Spanned<Node>)>,
    entries: &mut BTreeMap<String, Entry>,
) -> Result<(), (u64, String)> {
    for (key, node) in map {
        let name = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
        let line = node.referenced.line();
        let written = match node.value {
            Node::Map(map) => {
                flatten(&name, map, entries)?;
                continue;
            }
            Node::Null => None,
            Node::Scalar(text) => Some(Written::Text(text)),
            Node::List(items) => Some(written_list(items)),
        };
        let entry = Entry { name: name.clone(), line, written };
        if let Some(other) = entries.insert(name.to_lowercase(), entry) {
            return Err((line, format!("{name}: is in line {} already", other.line)));
        }
    }
    Ok(())
}

fn written_list(items: Vec<Node>) -> Written {
    let text = |item| match item {
        Node::Scalar(text) => Some(text),
        Node::List(_) | Node::Map(_) | Node::Null => None,
    };
    items.into_iter().map(text).collect::<Option<_>>().map_or(Written::Other, Written::List)
}

/// Any YAML, with scalars as text.
#[derive(Debug)]
enum Node {
    List(Vec<Self>),
    Map(Vec<(String, Spanned<Self>)>),
    Null,
    Scalar(String),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list or keys with values")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Map(entries))
    }
}

/// A hundred times Fabric's sample, in bytes.
const FILE_LEN_MAX: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Vec<(String, u64, Option<Written>)> {
        let entries = parse(text).expect("YAML");
        entries.into_iter().map(|(key, entry)| (key, entry.line, entry.written)).collect()
    }

    #[test]
    fn nested_keys_are_joined_and_values_keep_their_lines() {
        let text =
            "peer:\n  id: jdoe\n  Gossip:\n    pullPeerNum: 3\n    bootstrap:\n      - a:1\n";
        assert_eq!(
            written(text),
            [
                ("peer.gossip.bootstrap".to_owned(), 6, Some(Written::List(vec!["a:1".into()]))),
                ("peer.gossip.pullpeernum".to_owned(), 4, Some(Written::Text("3".into()))),
                ("peer.id".to_owned(), 2, Some(Written::Text("jdoe".into()))),
            ]
        );
    }

    #[test]
    fn a_key_without_value_is_there_and_has_none() {
        assert_eq!(written("peer:\n  id:\n"), [("peer.id".to_owned(), 2, None)]);
        assert_eq!(written(""), []);
        assert_eq!(written("---\n# nothing\n"), []);
    }

    #[test]
    fn lists_of_mappings_are_told_apart_from_lists_of_texts() {
        let text = "a:\n  - name: x\nb: []\n";
        assert_eq!(
            written(text),
            [
                ("a".to_owned(), 2, Some(Written::Other)),
                ("b".to_owned(), 3, Some(Written::List(vec![])))
            ]
        );
    }

    #[test]
    fn a_key_that_stands_there_twice_in_different_case_is_an_error_with_both_lines() {
        let error = parse("peer:\n  id: a\n  ID: b\n").expect_err("twice");
        assert_eq!(error, (3, "peer.ID: is in line 2 already".to_owned()));
    }

    #[test]
    fn what_is_no_yaml_is_an_error_with_its_line() {
        for (text, line) in [("a: b\nc: [\n", 3), ("a: 1\n\tb: 2\n", 2), ("- a\n", 1)] {
            let error = parse(text).expect_err(text);
            assert!(error.0.abs_diff(line) <= 1, "{text:?}: {error:?}");
        }
    }
}
