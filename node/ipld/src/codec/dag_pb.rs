//! dag-pb: a list of links, each with a name and the size of what is below it, and some bytes.
//!
//! ```text
//! PBLink = { 1: Hash bytes, 2: Name string, 3: Tsize varint }      PBNode = { 2: Links repeated PBLink, 1: Data bytes }
//! ```
//! Links stand before the data, fields of a link in order. Who reads the data model sees `Links` first, each a map of `Hash`, `Name`,
//! `Tsize`, and then `Data`; what is not there is no entry.
//!
//! Source: the dag-pb specification of ipld.io; `spec/network.md` 11.6.

use super::{CodecError, Ipld};
use crate::hash::{self, Cid};
use crate::varint;

/// A link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PbLink {
    /// Where to.
    pub cid: Cid,
    /// Under which name.
    pub name: Option<String>,
    /// Bytes of all blocks below, by who wrote it.
    pub tsize: Option<u64>,
}

/// What is in a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PbNode {
    /// The links.
    pub links: Vec<PbLink>,
    /// The bytes.
    pub data: Option<Vec<u8>>,
}

const VARINT: u64 = 0;
const LENGTH: u64 = 2;

impl PbNode {
    /// Reads a block.
    ///
    /// # Errors
    /// [`CodecError::DagPb`] for bytes that no writer of dag-pb writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut node = Self::default();
        let mut fields = Fields { all: bytes, rest: bytes };
        let mut links_end = false;
        while let Some((number, field)) = fields.next()? {
            match (number, field) {
                (1, Field::Bytes(_)) if node.data.is_some() => return Err(fields.wrong("data that is there twice")),
                (1, Field::Bytes(data)) => {
                    links_end = !node.links.is_empty();
                    node.data = Some(data.to_vec());
                }
                (2, Field::Bytes(_)) if links_end => return Err(fields.wrong("links before and after the data")),
                (2, Field::Bytes(link)) => node.links.push(PbLink::decode(link).map_err(|what| fields.wrong(what))?),
                _ => return Err(fields.wrong("a field that a node does not have")),
            }
        }
        Ok(node)
    }

    /// The bytes of a block.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for link in &self.links {
            field(2, &link.encode(), &mut bytes);
        }
        if let Some(data) = &self.data {
            field(1, data, &mut bytes);
        }
        bytes
    }

    /// Itself in the data model.
    pub fn into_ipld(self) -> Ipld {
        let links = self.links.into_iter().map(|PbLink { cid, name, tsize }| {
            let mut entries = vec![("Hash".to_owned(), Ipld::Link(cid))];
            entries.extend(name.map(|name| ("Name".to_owned(), Ipld::String(name))));
            entries.extend(tsize.map(|size| ("Tsize".to_owned(), Ipld::Integer(size.into()))));
            Ipld::Map(entries)
        });
        let mut entries = vec![("Links".to_owned(), Ipld::List(links.collect()))];
        entries.extend(self.data.map(|data| ("Data".to_owned(), Ipld::Bytes(data))));
        Ipld::Map(entries)
    }
}

impl PbLink {
    fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        let (mut cid, mut name, mut tsize) = (None, None, None);
        let mut fields = Fields { all: bytes, rest: bytes };
        let mut before = 0;
        while let Some((number, field)) = fields.next().map_err(|_| "a link that is none")? {
            if number <= before {
                return Err("fields of a link that are out of order or there twice");
            }
            before = number;
            match (number, field) {
                (1, Field::Bytes(bytes)) => cid = Some(hash::parse(bytes).ok_or("a CID that is none")?),
                (2, Field::Bytes(bytes)) => {
                    let text = std::str::from_utf8(bytes).map_err(|_| "a name that is not UTF-8")?;
                    name = Some(text.to_owned());
                }
                (3, Field::Varint(size)) => tsize = Some(size),
                _ => return Err("a field that a link does not have"),
            }
        }
        Ok(Self { cid: cid.ok_or("a link that leads nowhere")?, name, tsize })
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        field(1, &self.cid.to_bytes(), &mut bytes);
        if let Some(name) = &self.name {
            field(2, name.as_bytes(), &mut bytes);
        }
        if let Some(tsize) = self.tsize {
            varint::write(3 << 3 | VARINT, &mut bytes);
            varint::write(tsize, &mut bytes);
        }
        bytes
    }
}

fn field(number: u64, content: &[u8], bytes: &mut Vec<u8>) {
    varint::write(number << 3 | LENGTH, bytes);
    varint::write(content.len() as u64, bytes);
    bytes.extend(content);
}

enum Field<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
}

/// The fields of a protobuf message.
struct Fields<'a> {
    all: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn next(&mut self) -> Result<Option<(u64, Field<'a>)>, CodecError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let mut rest = self.rest;
        let no_number = |_| self.wrong("no number");
        let tag = varint::read(&mut rest).map_err(no_number)?;
        let number = varint::read(&mut rest).map_err(no_number)?;
        let field = match tag & 7 {
            VARINT => Field::Varint(number),
            LENGTH => {
                let length = usize::try_from(number).ok().filter(|length| *length <= rest.len());
                let (content, after) = rest.split_at(length.ok_or_else(|| self.wrong("a field that ends too soon"))?);
                rest = after;
                Field::Bytes(content)
            }
            _ => return Err(self.wrong("a kind of field that is not used")),
        };
        self.rest = rest;
        Ok(Some((tag >> 3, field)))
    }

    /// An error at the field that was read, or is to be.
    fn wrong(&self, what: &'static str) -> CodecError {
        CodecError::DagPb { at: self.all.len() - self.rest.len(), what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Codec;
    use crate::hash::HashKind;

    /// A folder of two files as kubo writes it, with its published CID, is read and written byte for byte.
    #[test]
    fn nodes_are_read_and_written_byte_for_byte() {
        let leaf = HashKind::Sha256.cid(Codec::Raw.code(), b"hello").unwrap();
        let link = |name: &str| PbLink { cid: leaf, name: Some(name.to_owned()), tsize: Some(5) };
        let node = PbNode { links: vec![link("a"), link("b")], data: Some(vec![8, 1]) };
        let bytes = node.encode();
        assert_eq!(
            hex::encode(&bytes),
            format!("122b0a24{0}120161180512{1}0a24{0}12016218050a020801", hex::encode(leaf.to_bytes()), "2b")
        );
        assert_eq!(PbNode::decode(&bytes).unwrap(), node);
        for length in 1..bytes.len() {
            let cut = PbNode::decode(&bytes[..length]);
            // It ends well between two fields only.
            assert_eq!(cut.is_ok(), length == 45 || length == 90, "{length}");
        }
        let bare = PbNode { links: vec![PbLink { cid: leaf, name: None, tsize: None }], data: None };
        assert_eq!(PbNode::decode(&bare.encode()).unwrap(), bare);
        let empty = PbNode { links: Vec::new(), data: Some(Vec::new()) };
        assert_eq!(hex::encode(empty.encode()), "0a00");
        assert_eq!(PbNode::decode(&[]).unwrap(), PbNode::default());
        let Ipld::Map(entries) = node.into_ipld() else { panic!() };
        assert_eq!(entries.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["Links", "Data"]);
    }

    #[test]
    fn other_forms_are_refused() {
        let cid = "0a24015512202cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        let link = |inner: &str| format!("12{:02x}{inner}", inner.len() / 2);
        let whole = link(cid);
        for (text, what) in [
            ("0a00".to_owned() + "0a00", "twice"),
            (whole.clone() + "0a00" + &whole, "before and after"),
            ("1a00".to_owned(), "does not have"),
            ("0801".to_owned(), "does not have"),
            ("0b".to_owned() + "00", "not used"),
            ("0a05ff".to_owned(), "too soon"),
            ("0a80".to_owned(), "no number"),
            (link(""), "nowhere"),
            (link("12016118ff00"), "link that is none"),
            (link("120161"), "nowhere"),
            (link(&("120161".to_owned() + cid)), "out of order"),
            (link(&(cid.to_owned() + cid)), "out of order"),
            (link("0a0101"), "a CID that is none"),
            (link(&(cid.to_owned() + "1201ff")), "not UTF-8"),
            (link(&(cid.to_owned() + "2001")), "link does not have"),
        ] {
            let error = PbNode::decode(&hex::decode(&text).unwrap()).unwrap_err().to_string();
            assert!(error.contains(what), "{text}: {error}");
        }
    }
}
