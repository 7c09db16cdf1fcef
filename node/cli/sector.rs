//! `filecash sector inspect`: what a sector's folder holds, whether it is sound, and which step it is ready for.
//!
//! A quick look checks names and lengths, that `p_aux` and `t_aux` parse, and that the commitments in the files agree:
//! the last node of TreeD with CommD, those of TreeC and TreeR-last with `p_aux`, `H_2(comm_c, comm_r_last)` with CommR.
//! Of synthetic proofs the roots are compared; each record is verified when phase 1 of the commit takes it.
//! `--deep` reads everything else ([`crate::deep`]).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use filecash_engine::field::Node;
use filecash_engine::hash::poseidon::hash2;
use filecash_engine::merkle::tree_file::TreeFile;
use filecash_engine::porep::outputs::{PreCommit1Output, PreCommit2Output};
use filecash_engine::porep::proof::ProofShape;
use filecash_engine::porep::synthetic::record::Roots;
use filecash_engine::porep::synthetic::{SyntheticFile, file_bytes};
use filecash_engine::sector::geometry::Geometry;
use filecash_engine::sector::{Feature, Profile, SectorParams, params};
use filecash_engine::store::aux::{PAux, TAux};
use filecash_engine::store::files::{self, CacheFile, CacheFiles, P_AUX, SYNTHETIC_PROOFS, T_AUX};
use filecash_engine::store::manifest::MANIFEST_NAME;
use filecash_node::size::ByteSize;
use serde_json::{Value, json};

use crate::args;
use crate::context::Context;
use crate::deep;
use crate::folder::{Described as _, Folder};
use crate::phase::{Codec, data_commitment, replica_commitment, synthetic_proofs};
use crate::report::{Failure, Kind, Report, with_causes};
use crate::text::Align::{Left, Right};
use crate::text::{Table, count, grouped};

/// Where the parts of a sector are, and what it is.
pub struct Subject {
    /// The cache folder.
    pub cache: PathBuf,
    /// The sealed file, which need not exist.
    pub sealed: Option<PathBuf>,
    /// The folder of everything, if it is laid out so.
    pub folder: Option<Folder>,
    /// The network.
    pub profile: Profile,
    /// The row of the size.
    pub params: &'static SectorParams,
    /// How its seal draws challenges, where that is known.
    pub feature: Option<Feature>,
}

/// What was found so far.
#[derive(Default)]
pub struct Findings {
    files: Vec<FileRow>,
    /// Facts for people, in order.
    facts: Vec<(&'static str, String)>,
    /// The same for machines.
    json: serde_json::Map<String, Value>,
    /// What is wrong.
    pub problems: Vec<String>,
}

struct FileRow {
    name: String,
    expected: Option<u64>,
    actual: Option<u64>,
}

impl FileRow {
    fn is_right(&self) -> bool {
        self.actual.is_some() && (self.expected.is_none() || self.actual == self.expected)
    }

    fn state(&self) -> String {
        match (self.actual, self.expected) {
            (None, _) => "missing".to_owned(),
            (Some(actual), Some(expected)) if actual != expected => format!("expected {} bytes", grouped(expected)),
            _ => "ok".to_owned(),
        }
    }
}

/// How far a sector is.
enum Stage {
    Empty,
    Pc1Unfinished,
    Pc1Done,
    Pc2Done,
    Unsynthesized,
    Synthesized,
    Cleared,
    ClearedForC1,
    Broken,
}

impl Stage {
    fn name(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Pc1Unfinished => "pc1-unfinished",
            Self::Pc1Done => "pc1-done",
            Self::Pc2Done | Self::Unsynthesized => "pc2-done",
            Self::Synthesized => "synthesized",
            Self::Cleared => "cleared",
            Self::ClearedForC1 => "cleared-for-c1",
            Self::Broken => "broken",
        }
    }

    fn meaning(&self) -> &'static str {
        match self {
            Self::Empty => "Nothing here yet: ready for PC1",
            Self::Pc1Unfinished => "PC1 is unfinished: run it again, finished layers are kept",
            Self::Pc1Done => "PC1 is done: ready for PC2",
            Self::Pc2Done => "PC2 is done: ready for C1, unsealing and clear-cache after C1",
            Self::Unsynthesized => "PC2 is done: ready for synth, then clear-cache, and for unsealing",
            Self::Synthesized => "PC2 is done, the synthetic proofs are here: ready for clear-cache, C1 and unsealing",
            Self::Cleared => "The cache is cleared: ready for proofs of space-time and unsealing, not for C1",
            Self::ClearedForC1 => {
                "The cache is cleared, the synthetic proofs are here: ready for C1, proofs of space-time and unsealing"
            }
            Self::Broken => "Not ready for any step",
        }
    }
}

/// Says what a folder holds.
pub fn inspect(args: &args::SectorInspect, context: &Context) -> anyhow::Result<Report> {
    let subject = Subject::find(args, context)?;
    let mut found = Findings::default();
    let stage = found.look_at_files(&subject, context);
    if !matches!(stage, Stage::Empty | Stage::Pc1Unfinished) {
        found.look_at_commitments(&subject);
    }
    if args.deep {
        let outcome = deep::check(&subject, &context.job(), &mut found);
        context.kept(outcome, || "nothing was changed".to_owned())?;
    }
    Ok(found.report(&subject, &stage, args.deep))
}

impl Subject {
    fn find(args: &args::SectorInspect, context: &Context) -> anyhow::Result<Self> {
        let dir = &args.dir;
        let metadata = fs::metadata(dir).with_context(|| format!("cannot read {}", dir.display()))?;
        if !metadata.is_dir() {
            return Err(Failure::new(Kind::Input, format!("{} is not a folder", dir.display())).into());
        }
        let folder = Some(Folder::new(dir)).filter(|folder| folder.cache().is_dir());
        let identity = folder.as_ref().map(|folder| folder.read_identity()).transpose()?.flatten();
        let cache = folder.as_ref().map_or_else(|| dir.clone(), Folder::cache);
        let sealed = args.sealed.clone().or_else(|| match &folder {
            Some(folder) => Some(folder.sealed()),
            None => sealed_beside(dir),
        });
        let profile = identity.as_ref().map_or(context.profile(), |identity| identity.profile);
        let feature = match &identity {
            Some(identity) => Some(identity.proof()?.config().feature),
            None => None,
        };
        let params = match (args.sector_size, identity) {
            (Some(size), _) => params::for_size(profile, size.0)?,
            (None, Some(identity)) => identity.proof()?.config().params,
            (None, None) => guess_params(&cache, profile).ok_or_else(|| {
                Failure::new(Kind::Usage, format!("cannot tell the sector size from the files in {}", cache.display()))
                    .hint("give --sector-size")
            })?,
        };
        Ok(Self { cache, sealed, folder, profile, params, feature })
    }
}

/// Our folders have `cache` and `sealed` side by side, Lotus has `cache/s-t01000-1` and `sealed/s-t01000-1`.
fn sealed_beside(cache: &Path) -> Option<PathBuf> {
    let cache = cache.canonicalize().ok()?;
    let (parent, name) = (cache.parent()?, cache.file_name()?);
    let ours = Some(parent.join("sealed")).filter(|_| name == "cache");
    let lotus = parent.parent().map(|storage| storage.join("sealed").join(name));
    [ours, lotus].into_iter().flatten().find(|path| path.is_file())
}

/// From `t_aux`, or from the length of the first layer.
fn guess_params(cache: &Path, profile: Profile) -> Option<&'static SectorParams> {
    let from_aux = || {
        let aux = TAux::decode(&fs::read(cache.join(T_AUX)).ok()?).ok()?;
        aux.tree_d.size?.checked_add(1)?.checked_mul(16)
    };
    let from_layer = || fs::metadata(cache.join(files::layer_name(1))).ok().map(|metadata| metadata.len());
    [from_aux(), from_layer()].into_iter().flatten().find_map(|size| params::for_size(profile, size).ok())
}

impl Findings {
    /// Notes every file and says how far the sector is.
    fn look_at_files(&mut self, subject: &Subject, context: &Context) -> Stage {
        let (cache, params) = (&subject.cache, subject.params);
        let discard = self.rows_discarded(subject).unwrap_or(context.config.rows_to_discard);
        let names = CacheFiles::new(params, discard);
        if let Some(sealed) = &subject.sealed {
            self.file(sealed, "sealed", Some(params.size_bytes));
        }
        let layers = self.cache_files(cache, names.layers());
        let tree_d = self.cache_files(cache, vec![names.tree_d()]);
        let tree_c = self.cache_files(cache, names.tree_c());
        let tree_r_last = self.cache_files(cache, names.tree_r_last());
        let p_aux = self.file(&cache.join(P_AUX), P_AUX, Some(64));
        let t_aux = self.file(&cache.join(T_AUX), T_AUX, None);
        let synthetic = subject.feature == Some(Feature::Synthetic) && p_aux || cache.join(SYNTHETIC_PROOFS).exists();
        let synthetic = synthetic && self.synthetic_file(subject);
        let wrong: Vec<String> = self
            .files
            .iter()
            .filter(|row| row.actual.is_some() && !row.is_right())
            .map(|row| format!("{} has {} bytes, {}", row.name, grouped(row.actual.unwrap_or(0)), row.state()))
            .collect();
        self.problems.extend(wrong);

        let (needed, none_of_pc1) = (layers.chain(&tree_d), layers.none && tree_d.none && tree_c.none);
        if !(p_aux || t_aux) {
            return match (needed.all, layers.none && tree_d.none) {
                _ if !self.problems.is_empty() => Stage::Broken,
                (true, _) => Stage::Pc1Done,
                (false, true) => Stage::Empty,
                (false, false) => Stage::Pc1Unfinished,
            };
        }
        let sealed_is_missing = self.files.iter().any(|row| row.name == "sealed" && row.actual.is_none());
        let mut missing = |what: &str, step: &str| self.problems.push(format!("{what} is missing, {step} needs it"));
        if !(p_aux && t_aux) {
            missing(if p_aux { T_AUX } else { P_AUX }, "every later step");
        }
        if !tree_r_last.all {
            missing("part of tree-r-last", "every proof");
        }
        if sealed_is_missing {
            missing("the sealed file", "every later step");
        }
        let for_commit = needed.all && tree_c.all;
        if !none_of_pc1 && !for_commit {
            missing("part of the layers, tree-d or tree-c", "C1");
        }
        match (none_of_pc1, synthetic) {
            _ if !self.problems.is_empty() => Stage::Broken,
            (true, false) => Stage::Cleared,
            (true, true) => Stage::ClearedForC1,
            (false, false) if subject.feature == Some(Feature::Synthetic) => Stage::Unsynthesized,
            (false, false) => Stage::Pc2Done,
            (false, true) => Stage::Synthesized,
        }
    }

    /// Notes the file of synthetic proofs; says whether it is there.
    fn synthetic_file(&mut self, subject: &Subject) -> bool {
        let shape = ProofShape::of(subject.profile, subject.params);
        let bytes = file_bytes(&shape, synthetic_proofs(subject.params));
        self.file(&subject.cache.join(SYNTHETIC_PROOFS), SYNTHETIC_PROOFS, Some(bytes))
    }

    /// Rows that TreeR-last files leave out: what `t_aux` says, else what their length means.
    fn rows_discarded(&mut self, subject: &Subject) -> Option<usize> {
        if subject.cache.join(T_AUX).exists() {
            match TAux::read(&subject.cache, subject.params) {
                Ok(aux) => return usize::try_from(aux.tree_r_last.rows_to_discard).ok(),
                Err(error) => self.problems.push(with_causes(&error)),
            }
        }
        let first = files::base_tree_name(files::TREE_R_LAST, 0, subject.params.shape.base_trees());
        let bytes = fs::metadata(subject.cache.join(first)).ok()?.len();
        files::discarded_rows(subject.params, bytes)
    }

    fn cache_files(&mut self, cache: &Path, files: Vec<CacheFile>) -> Presence {
        let mut presence = Presence { all: true, none: true };
        for CacheFile { name, bytes } in files {
            let there = self.file(&cache.join(&name), &name, Some(bytes));
            presence = presence.chain(&Presence { all: there, none: !there });
        }
        presence
    }

    /// Notes a file; says whether it is there.
    fn file(&mut self, path: &Path, name: &str, expected: Option<u64>) -> bool {
        let actual = match fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => Some(metadata.len()),
            Ok(_) => {
                self.problems.push(format!("{name} is not a file"));
                None
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    self.problems.push(format!("{name}: {error}"));
                }
                None
            }
        };
        self.files.push(FileRow { name: name.to_owned(), expected, actual });
        actual.is_some()
    }

    /// Whether a file is there with the right length.
    pub fn is_right(&self, name: &str) -> bool {
        self.files.iter().any(|row| row.name == name && row.is_right())
    }

    /// Compares the commitments that the files hold.
    fn look_at_commitments(&mut self, subject: &Subject) {
        let geometry = Geometry::of(subject.params);
        let (cache, folder) = (&subject.cache, subject.folder.as_ref());
        let pc1 = self.output::<PreCommit1Output>(subject, folder.map(Folder::pc1));
        let pc2 = self.output::<PreCommit2Output>(subject, folder.map(Folder::pc2));
        let p_aux = match PAux::read(cache) {
            Ok(p_aux) => Some(p_aux),
            Err(error) => {
                if self.is_right(P_AUX) {
                    self.problems.push(format!("{P_AUX}: {}", with_causes(&error)));
                }
                None
            }
        };

        let tree_d = TreeFile::open_tree_d(cache, geometry).ok().map(|tree| tree.root());
        let said = [pc1.as_ref().map(|pc1| pc1.comm_d), pc2.as_ref().map(|pc2| pc2.comm_d)];
        for (what, said) in ["pc1.json", "pc2.json"].iter().zip(said) {
            self.compare("CommD", what, said, "the root of tree-d", tree_d);
        }
        if let Some(p_aux) = p_aux {
            let tree_c = TreeFile::open_tree_c(cache, geometry).ok().map(|tree| tree.root());
            self.compare("CommC", P_AUX, Some(p_aux.comm_c), "the root of tree-c", tree_c);
            let tree_r_last = subject
                .sealed
                .as_ref()
                .and_then(|sealed| TreeFile::open_tree_r_last(cache, sealed, geometry).ok().map(|tree| tree.root()));
            self.compare("CommRLast", P_AUX, Some(p_aux.comm_r_last), "the root of tree-r-last", tree_r_last);
            let comm_r = hash2(&p_aux.comm_c, &p_aux.comm_r_last).ok();
            self.compare("CommR", "pc2.json", pc2.as_ref().map(|pc2| pc2.comm_r), "that of p_aux", comm_r);
            if let Some(comm_r) = comm_r {
                let (json, shown) = replica_commitment(&comm_r);
                self.fact("Sealed", "comm_r", shown, json);
            }
        }
        let comm_d = tree_d.or(said[1]).or(said[0]);
        if self.is_right(SYNTHETIC_PROOFS) {
            self.look_at_synthetic(subject, comm_d, p_aux);
        }
        if let Some(comm_d) = comm_d {
            let (json, shown) = data_commitment(&comm_d);
            self.fact("Unsealed", "comm_d", shown, json);
        }
    }

    /// Compares the roots in the file of synthetic proofs. Its records are verified when C1 takes them.
    fn look_at_synthetic(&mut self, subject: &Subject, comm_d: Option<Node>, p_aux: Option<PAux>) {
        let shape = ProofShape::of(subject.profile, subject.params);
        let records = synthetic_proofs(subject.params);
        match SyntheticFile::open(&subject.cache, shape, records) {
            Ok(file) => {
                let Roots { tree_d, tree_c, tree_r_last } = *file.roots();
                self.compare("CommD", "the sector", comm_d, "that of the synthetic proofs", Some(tree_d));
                let comm_c = p_aux.map(|aux| aux.comm_c);
                self.compare("CommC", P_AUX, comm_c, "that of the synthetic proofs", Some(tree_c));
                let comm_r_last = p_aux.map(|aux| aux.comm_r_last);
                self.compare("CommRLast", P_AUX, comm_r_last, "that of the synthetic proofs", Some(tree_r_last));
                let shown = format!("{}, out of which C1 takes those of its seed", count(records, "vanilla proof"));
                self.fact("Synthetic", "synthetic_proofs", shown, json!(records));
            }
            Err(error) => self.problems.push(with_causes(&error)),
        }
    }

    /// Reads a phase's output if there is one.
    fn output<T: Codec>(&mut self, subject: &Subject, path: Option<PathBuf>) -> Option<T> {
        let path = path.filter(|path| path.exists())?;
        match T::read_file(subject.profile, &path) {
            Ok((_, output)) => Some(output),
            Err(error) => {
                self.problems.push(format!("{error:#}"));
                None
            }
        }
    }

    fn compare(&mut self, what: &str, first: &str, one: Option<Node>, second: &str, other: Option<Node>) {
        if let (Some(one), Some(other)) = (one, other)
            && one != other
        {
            let [one, other] = [one, other].map(hex::encode);
            self.problems.push(format!("{what} of {first} is {one}, {second} is {other}"));
        }
    }

    /// Notes something for people and machines.
    pub fn fact(&mut self, label: &'static str, key: &str, shown: String, json: Value) {
        self.facts.push((label, shown));
        self.json.insert(key.to_owned(), json);
    }

    fn report(self, subject: &Subject, stage: &Stage, deep: bool) -> Report {
        let sound = self.problems.is_empty();
        let stage = if sound { stage } else { &Stage::Broken };
        let mut files = Table::new(&[("file", Left), ("bytes", Right), ("", Left)]);
        let mut json_files = vec![];
        for row in &self.files {
            let bytes = row.actual.map_or_else(|| "-".to_owned(), grouped);
            let cleared = matches!(stage, Stage::Cleared | Stage::ClearedForC1) && row.actual.is_none();
            let state = match (&row.actual, row.name.as_str()) {
                (None, SYNTHETIC_PROOFS) if !cleared => "not made yet".to_owned(),
                _ if cleared => "cleared".to_owned(),
                _ => row.state(),
            };
            files.row([row.name.clone(), bytes, state]);
            json_files.push(json!({
                "name": row.name, "bytes": row.actual, "expected_bytes": row.expected, "ok": row.is_right(),
            }));
        }
        let mut fields = Table::fields();
        let size = ByteSize(subject.params.size_bytes);
        fields.row(["Sector", &format!("{size} of profile {}, {} layers", subject.profile, subject.params.layers)]);
        fields.row(["Cache", &subject.cache.display().to_string()]);
        if let Some(sealed) = &subject.sealed {
            fields.row(["Sealed file", &sealed.display().to_string()]);
        }
        for (label, value) in &self.facts {
            fields.row([*label, value]);
        }
        let mut text = format!("{}\n{}\n{}", stage.meaning(), fields.render(), files.render());
        if !sound {
            text += &format!("\nWrong:\n  {}\n", self.problems.join("\n  "));
        }
        if subject.sealed.is_none() {
            text += "\nThe sealed file was not looked at: --sealed names it\n";
        }
        let mut json = json!({
            "sound": sound,
            "stage": stage.name(),
            "ready": stage.meaning(),
            "deep": deep,
            "profile": subject.profile.name(),
            "sector_bytes": subject.params.size_bytes,
            "cache": subject.cache,
            "sealed": subject.sealed,
            "files": json_files,
            "problems": self.problems,
            "manifest": subject.cache.join(MANIFEST_NAME).exists(),
        });
        if let Value::Object(map) = &mut json {
            map.extend(self.json);
        }
        Report { accepted: sound, text, json }
    }
}

/// Whether files of a group are there.
#[derive(Clone, Copy)]
struct Presence {
    all: bool,
    none: bool,
}

impl Presence {
    fn chain(&self, other: &Self) -> Self {
        Self { all: self.all && other.all, none: self.none && other.none }
    }
}
