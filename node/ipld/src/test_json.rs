//! JSON of test vectors in the data model, with the order of its entries. `{"/": "…"}` is a link, as dag-json has it.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::Ipld;

/// The values of a text that is full of them.
pub(crate) fn all(text: &str) -> Vec<Ipld> {
    let values = serde_json::Deserializer::from_str(text).into_iter::<Json>();
    values.map(|value| value.unwrap().0).collect()
}

/// The value that is all of a text.
pub(crate) fn one(text: &str) -> Ipld {
    serde_json::from_str::<Json>(text).unwrap().0
}

struct Json(Ipld);

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Values).map(Json)
    }
}

struct Values;

impl<'de> Visitor<'de> for Values {
    type Value = Ipld;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Ipld, E> {
        Ok(Ipld::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Ipld, E> {
        Ok(Ipld::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Ipld, E> {
        Ok(Ipld::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Ipld, E> {
        Ok(Ipld::Integer(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Ipld, E> {
        Ok(Ipld::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Ipld, A::Error> {
        let mut list = Vec::new();
        while let Some(Json(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Ipld::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Ipld, A::Error> {
        let mut map = Vec::new();
        while let Some((key, Json(value))) = entries.next_entry::<String, Json>()? {
            map.push((key, value));
        }
        match &map[..] {
            [(key, Ipld::String(cid))] if key == "/" => Ok(Ipld::Link(cid.parse().unwrap())),
            _ => Ok(Ipld::Map(map)),
        }
    }
}
