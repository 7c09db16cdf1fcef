use super::*;

const CID: &str = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
const V0: &str = "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n";

fn car(address: &str, accept: Option<&str>) -> AskedCar {
    match Asked::parse(address, accept) {
        Ok(Asked::Car(car)) => car,
        other => panic!("{address} {accept:?}: {other:?}"),
    }
}

#[test]
fn forms_are_told_by_the_address_or_by_what_is_accepted() {
    let (raw, car) = ("application/vnd.ipld.raw", "application/vnd.ipld.car");
    for (query, accept, is_raw) in [
        ("?format=raw", None, true),
        ("?format=car", None, false),
        ("", Some(raw), true),
        ("", Some(car), false),
        ("?format=raw", Some(car), true),
        ("?format=car", Some(raw), false),
        ("?format=raw", Some("text/html"), true),
        ("", Some("text/html, application/vnd.ipld.raw;q=0.1"), true),
        ("", Some("application/vnd.ipld.raw;q=0.1, application/vnd.ipld.car"), false),
        ("", Some("application/vnd.ipld.raw;q=0, application/vnd.ipld.car;q=0.1"), false),
        ("", Some("application/vnd.ipld.car;version=2, application/vnd.ipld.raw;q=0.1"), true),
        ("?other=thing&format=raw&format%20=car", None, true),
    ] {
        let asked = Asked::parse(&format!("/ipfs/{CID}{query}"), accept).unwrap();
        assert_eq!(matches!(asked, Asked::Block(_)), is_raw, "{query} {accept:?}");
    }
}

#[test]
fn cars_are_as_they_are_asked_for() {
    for (query, accept, scope, duplicates) in [
        ("?format=car", None, Scope::All, false),
        ("?format=car&car-dups=y", None, Scope::All, true),
        ("?format=car&car-dups=n", Some("application/vnd.ipld.car;dups=y"), Scope::All, false),
        ("?format=car", Some("application/vnd.ipld.car;dups=y"), Scope::All, true),
        ("?format=car&dag-scope=block", Some("text/html"), Scope::Block, false),
        (
            "?dag-scope=entity",
            Some("application/vnd.ipld.car; version=1; order=dfs; dups=n"),
            Scope::Entity(None),
            false,
        ),
        ("?dag-scope=all", Some("Application/Vnd.Ipld.Car;Order=unk;DUPS=\"y\""), Scope::All, true),
        (
            "?format=car&entity-bytes=-5:*&car-version=1&car-order=dfs",
            None,
            Scope::Entity(Some(EntityBytes { from: -5, to: None })),
            false,
        ),
        (
            "?format=car&entity-bytes=0%3A9&dag-scope=entity",
            None,
            Scope::Entity(Some(EntityBytes { from: 0, to: Some(9) })),
            false,
        ),
        // Who would rather have another order takes the next best.
        (
            "",
            Some("application/vnd.ipld.car;order=foo, application/vnd.ipld.car;order=dfs;dups=y;q=0.5"),
            Scope::All,
            true,
        ),
    ] {
        let asked = car(&format!("/ipfs/{V0}/a{query}"), accept);
        assert_eq!((asked.scope, asked.duplicates), (scope, duplicates), "{query} {accept:?}");
        assert_eq!((asked.root.to_string(), asked.path), (V0.to_owned(), vec!["a".to_owned()]));
    }
}

#[test]
fn paths_are_names() {
    for (path, names) in [
        ("", &[][..]),
        ("/", &[]),
        ("/a/b/", &["a", "b"]),
        ("//a///b", &["a", "b"]),
        ("/%C3%A9t%C3%A9/a%2Fb/%20/%3F", &["été", "a/b", " ", "?"]),
        ("/../.", &["..", "."]),
        ("/100%/a+b", &["100%", "a+b"]),
    ] {
        assert_eq!(car(&format!("/ipfs/{CID}{path}?format=car"), None).path, names, "{path}");
    }
    let path = |names| format!("/ipfs/{CID}{}?format=car", "/a".repeat(names));
    assert_eq!(car(&path(MOST_NAMES), None).path.len(), MOST_NAMES);
    assert_eq!(Asked::parse(&path(MOST_NAMES + 1), None), Err(RequestError::TooLong));
}

#[test]
fn what_accept_said_is_in_the_location() {
    let location = |address: &str, accept| match Asked::parse(address, accept).unwrap() {
        Asked::Block(block) => block.location,
        Asked::Car(car) => car.location,
        Asked::Piece(_) => None,
    };
    let at = |query: &str| format!("/ipfs/{CID}{query}");
    for (query, accept, expected) in [
        ("?format=raw", None, None),
        ("?format=raw", Some("application/vnd.ipld.raw"), None),
        ("?format=car&dag-scope=block", Some("application/vnd.ipld.car"), None),
        ("", Some("application/vnd.ipld.raw"), Some("?format=raw")),
        ("?format=raw", Some("application/vnd.ipld.car"), Some("?format=raw")),
        ("?filename=a b&x=y", Some("application/vnd.ipld.raw"), Some("?format=raw&filename=a+b")),
        ("", Some("application/vnd.ipld.car"), Some("?format=car&car-version=1&car-order=dfs&car-dups=n")),
        (
            "?format=car&entity-bytes=1:*&car-dups=n",
            Some("application/vnd.ipld.car;dups=y"),
            Some("?format=car&dag-scope=entity&entity-bytes=1%3A*&car-version=1&car-order=dfs&car-dups=n"),
        ),
    ] {
        let found = location(&at(query), accept);
        assert_eq!(found, expected.map(at), "{query} {accept:?}");
        // It asks for the same.
        if let Some(again) = found {
            assert_eq!(location(&again, None), None, "{again}");
        }
    }
}

#[test]
fn what_asks_for_nothing_is_refused() {
    let at = |rest: &str| format!("/ipfs/{CID}{rest}");
    for (address, accept, message) in [
        ("/", None, "nothing here"),
        ("", None, "nothing here"),
        ("/ipfs", None, "nothing here"),
        ("/ipns/a?format=raw", None, "nothing here"),
        ("/piece", None, "nothing here"),
        ("/ipfs/?format=raw", None, "\"\" is no CID"),
        ("/ipfs/x?format=raw", None, "\"x\" is no CID"),
        ("/ipfs/Qm?format=raw", None, "is no CID"),
        ("/ipfs/bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyk?format=raw", None, "is no CID"),
        (&format!("/ipfs/{CID}a?format=raw"), None, "is no CID"),
        (&format!("/ipfs/b{}", "a".repeat(1000)), None, "is no CID"),
        ("/piece/", None, "is no CID"),
        ("/piece/bafkqaaa", None, "not the CID of a piece"),
        ("/piece/baga6ea4seaqes3nobte6ezpp4wqan2age2s5yxcatzotcvobhgcmv5wi2xh5mbi/a", None, "no path"),
        (&at(""), None, "?format=raw"),
        (&at(""), Some("*/*"), "a file or a page is not given"),
        (&at(""), Some("text/html,*/*;q=0.8"), "a file or a page is not given"),
        (&at(""), Some(""), "a file or a page is not given"),
        (&at(""), Some("application/vnd.ipld.raw;q=0"), "a file or a page is not given"),
        (&at(""), Some("application/json"), "application/json is not given"),
        (&at("?format=tar"), None, "application/x-tar is not given"),
        (&at("?format=zip"), None, "\"zip\" is not known"),
        (&at("?format="), None, "\"\" is not known"),
        (&at("?format=raw&format=raw"), None, "format is given twice"),
        (&at("/a?format=raw"), None, "by its CID alone"),
        (&at("/%ff?format=car"), None, "not UTF-8"),
        (&at(""), Some("application/vnd.ipld.car;version=2"), "of version 1"),
        (&at("?format=car"), Some("application/vnd.ipld.car;order=bfs"), "of version 1"),
        (&at("?format=car&car-version=2"), None, "car-version is 1"),
        (&at("?format=car&car-order=bfs"), None, "car-order is dfs or unk"),
        (&at("?format=car&car-dups="), None, "car-dups is y or n"),
        (&at("?format=car&dag-scope=some"), None, "dag-scope is all, entity or block"),
        (&at("?format=car&dag-scope=all&entity-bytes=0:*"), None, "goes with dag-scope=entity"),
        (&at("?format=car&entity-bytes=5"), None, "entity-bytes is FROM:TO"),
        (&at(&format!("?format=raw&filename={}", "a".repeat(256))), None, "filename is"),
        (&at(&format!("?{}", "a".repeat(MOST_ADDRESS_BYTES))), None, "at most"),
    ] {
        let error = Asked::parse(address, accept).expect_err(address).to_string();
        assert!(error.contains(message), "{address} {accept:?}: {error}");
        assert!(!error.contains('\n'));
    }
    // Of a block nobody looks at what is said of CARs.
    assert!(Asked::parse(&at("?format=raw&dag-scope=x&car-version=7"), None).is_ok());
}

/// Addresses and what is accepted, altered at a few places: whatever comes of it is asked for in bounds or refused in a line.
#[test]
fn altered_requests_are_taken_or_refused() {
    let address = format!("/ipfs/{CID}/a%20b/c?format=car&dag-scope=entity&entity-bytes=-5:*&car-dups=y&filename=x");
    let piece = "/piece/bafkzcibd64bqlxticxolgseegik2stpfgkkuwyf6kufex3doorkvmzpjuxwe4dz4".to_owned();
    let accept = "application/vnd.ipld.raw;q=0.5, application/vnd.ipld.car;version=1;order=\"dfs\";dups=y, */*;q=0.1";
    let mut seed = 1_u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    let mut taken = 0;
    for turn in 0..30_000 {
        let mut altered = [if turn % 3 == 0 { &piece } else { &address }, accept].map(|text| text.as_bytes().to_vec());
        for bytes in &mut altered {
            for _ in 0..random(3) {
                let place = random(bytes.len());
                match random(4) {
                    0 => bytes[place] = random(256) as u8,
                    1 => drop(bytes.remove(place)),
                    2 => bytes.insert(place, b"/?&=%:-*;,\"\\0"[random(13)]),
                    _ => bytes.truncate(place.max(1)),
                }
            }
        }
        let [address, accept] = altered.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        match Asked::parse(&address, Some(&accept)) {
            Ok(Asked::Car(mut car)) => {
                assert!(car.path.len() <= MOST_NAMES && !car.path.contains(&String::new()));
                // The address that says all asks for the same.
                if let Some(location) = car.location.take() {
                    assert_eq!(Asked::parse(&location, None), Ok(Asked::Car(car)), "{location}");
                }
            }
            Ok(_) => {}
            Err(error) => {
                assert!(!error.to_string().contains('\n'));
                continue;
            }
        }
        taken += 1;
    }
    assert!((1000..29_000).contains(&taken), "{taken}");
}
