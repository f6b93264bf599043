//! From writes to commits: one folder, what is merged in it, and what is forgotten.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tantivy::directory::Directory;
use tantivy::indexer::{IndexWriterOptions, LogMergePolicy};
use tantivy::query::RangeQuery;
use tantivy::{Index, IndexReader, IndexWriter, ReloadPolicy, Searcher, TantivyDocument, Term};

use crate::event::{Action, Write};
use crate::limits::DOCUMENT_ID_BYTES_MAX;
use crate::sink::Verdict;
use crate::sink::embedded::directory::{self, CommitDirectory};
use crate::sink::embedded::mapping::Mapping;
use crate::sink::embedded::schema::{ANALYZER, Fields};
use crate::sink::embedded::value::StrictKind;
use crate::sink::embedded::verdict::IndexError;
use crate::sink::embedded::words::analyzer;
use crate::sink::embedded::{document, versions};

/// Bytes of an index's name, as a folder's name: file systems take 255.
pub const NAME_BYTES_MAX: usize = 240;
/// How long a tombstone holds older writes off. The state of the pipeline keeps its own; this one is for a state that was
/// lost, and a source keeps its events about as long.
const TOMBSTONE_RETENTION: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How often old tombstones are looked for: it costs a scan of one column.
const PRUNE_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// Segments below this many documents are merged without regard to their size. Tantivy has 10,000, which rewrites
/// thousands of documents for every eighth single one that trickles in (seen: 20 ms of processor a commit, here 8).
const MERGE_FLOOR_DOCUMENTS: u32 = 1_000;
/// Sizes of segments that are merged with each other, as a power of two: four times.
const MERGE_LEVEL_LOG: f64 = 2.0;
/// Part of a segment that may be deleted documents before it is rewritten.
const DELETED_RATIO_MAX: f32 = 0.3;

/// Where the files of an index are; a test supplies a disk that fails.
pub type Storage = fn(&Path) -> tantivy::Result<Box<dyn Directory>>;

/// What all indexes of a sink share.
#[derive(Clone)]
pub struct IndexOptions {
    /// What is gathered in memory before a segment is written.
    pub memory_bytes: usize,
    /// What some fields must hold.
    pub strict: Arc<BTreeMap<String, StrictKind>>,
    /// Where the files are.
    pub storage: Storage,
}

impl Default for IndexOptions {
    fn default() -> Self {
        Self { memory_bytes: 64 << 20, strict: Arc::default(), storage: |dir| Ok(Box::new(CommitDirectory::open(dir)?)) }
    }
}

impl fmt::Debug for IndexOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexOptions").field("memory_bytes", &self.memory_bytes).field("strict", &self.strict).finish()
    }
}

/// The folder's name of an index; none for a name that is empty or too long.
pub fn folder(name: &str) -> Option<String> {
    let mut folder = String::new();
    for (place, byte) in name.bytes().enumerate() {
        let is_plain = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || (byte == b'.' && place > 0);
        if is_plain { folder.push(char::from(byte)) } else { folder.push_str(&format!("%{byte:02X}")) }
    }
    (1..=NAME_BYTES_MAX).contains(&folder.len()).then_some(folder)
}

/// Whether there is an index in that folder.
pub fn exists(dir: &Path) -> bool {
    dir.join("meta.json").exists()
}

/// One index in one folder. All calls block.
pub struct EmbeddedIndex {
    dir: PathBuf,
    options: IndexOptions,
    /// None: not yet opened, or to be opened again after an error, at what was committed last.
    opened: Mutex<Option<Opened>>,
    /// What searches see: stays while the writer is being opened again.
    view: RwLock<Option<Arc<View>>>,
}

/// One commit, to be searched.
pub struct View {
    /// Its documents.
    pub searcher: Searcher,
    /// The layout.
    pub fields: Fields,
    /// What is known of the documents' fields.
    pub mapping: Arc<Mapping>,
}

impl EmbeddedIndex {
    /// The index in `dir`, which is opened when it is first needed.
    pub fn new(dir: PathBuf, options: IndexOptions) -> Self {
        Self { dir, options, opened: Mutex::default(), view: RwLock::default() }
    }

    /// Opens the index, or makes an empty one.
    pub fn open(&self) -> Result<(), IndexError> {
        self.with_opened(|_| Ok(()))
    }

    /// What was committed last.
    pub fn view(&self) -> Result<Arc<View>, IndexError> {
        if let Some(view) = self.view.read().unwrap_or_else(PoisonError::into_inner).clone() {
            return Ok(view);
        }
        self.with_opened(|opened| Ok(opened.view.clone()))
    }

    /// Applies writes in their order and commits. After an error nothing is known, and the next call starts at the last
    /// commit.
    pub fn apply(&self, writes: &[Write], now_ms: u64) -> Result<Vec<Verdict>, IndexError> {
        self.with_opened(|opened| opened.apply(writes, &self.options.strict, now_ms))
    }

    fn with_opened<T>(&self, work: impl FnOnce(&mut Opened) -> tantivy::Result<T>) -> Result<T, IndexError> {
        let mut slot = self.opened.lock().unwrap_or_else(|poisoned| {
            // A panic in the midst of a batch: what the writer holds is half of it.
            self.opened.clear_poison();
            let mut slot = poisoned.into_inner();
            *slot = None;
            slot
        });
        // Taken out, so that every way out but the good one drops the writer, and the lock on the folder with it.
        let mut opened = match slot.take() {
            Some(opened) => opened,
            None => Opened::open(&self.dir, &self.options)?,
        };
        let done = work(&mut opened).map_err(|error| IndexError::of(&self.dir, &error))?;
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = Some(opened.view.clone());
        *slot = Some(opened);
        Ok(done)
    }
}

/// An index with its folder locked.
struct Opened {
    writer: IndexWriter,
    reader: IndexReader,
    view: Arc<View>,
    mapping: Mapping,
    /// The mapping as the last commit has it.
    payload: String,
    pruned_ms: u64,
}

/// What a document becomes in this commit.
struct Staged<'a> {
    id: &'a str,
    document: TantivyDocument,
    version: u64,
}

impl Opened {
    fn open(dir: &Path, options: &IndexOptions) -> Result<Self, IndexError> {
        std::fs::create_dir_all(dir).map_err(|error| IndexError::of_io(dir, &error))?;
        let corrupt = |reason| IndexError::Corrupt { dir: dir.to_owned(), reason };
        let failed = |error: tantivy::TantivyError| IndexError::of(dir, &error);
        let (schema, fields) = Fields::schema();
        let directory = (options.storage)(dir).map_err(failed)?;
        let index = Index::builder().schema(schema).open_or_create(directory).map_err(failed)?;
        index.tokenizers().register(ANALYZER, analyzer());
        let writer = writer(&index, options).map_err(failed)?;
        directory::remove_orphans(dir, &index.directory().list_managed_files());
        let payload = index.load_metas().map_err(failed)?.payload;
        let mapping = Mapping::read(payload.as_deref()).map_err(corrupt)?;
        let reader: IndexReader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into().map_err(failed)?;
        let view = Arc::new(View { searcher: reader.searcher(), fields, mapping: Arc::new(mapping.clone()) });
        Ok(Self { writer, reader, view, mapping, payload: payload.unwrap_or_default(), pruned_ms: 0 })
    }

    fn apply(&mut self, writes: &[Write], strict: &BTreeMap<String, StrictKind>, now_ms: u64) -> tantivy::Result<Vec<Verdict>> {
        let view = self.view.clone();
        let stored = versions::stored(&view.searcher, &view.fields, writes.iter().map(|write| &*write.id))?;
        let mut staged: Vec<Staged<'_>> = Vec::with_capacity(writes.len());
        let mut places: HashMap<&str, usize> = HashMap::with_capacity(writes.len());
        let mut verdicts = Vec::with_capacity(writes.len());
        for write in writes {
            let place = places.get(&*write.id).copied();
            let last = place.and_then(|place| staged.get(place)).map(|staged| staged.version);
            if last.or_else(|| stored.get(&*write.id).copied()).is_some_and(|last| last >= write.version.0) {
                verdicts.push(Verdict::Stale);
                continue;
            }
            let document = match self.document(write, &view.fields, strict, now_ms) {
                Ok(document) => document,
                Err(reason) => {
                    verdicts.push(Verdict::Refused(reason));
                    continue;
                }
            };
            let new = Staged { id: &write.id, document, version: write.version.0 };
            match place.and_then(|place| staged.get_mut(place)) {
                Some(older) => *older = new,
                None => {
                    places.insert(&write.id, staged.len());
                    staged.push(new);
                }
            }
            verdicts.push(Verdict::Stored);
        }
        if !staged.is_empty() {
            self.commit(staged, &stored, now_ms)?;
        }
        Ok(verdicts)
    }

    /// What the write puts into the index, or why it is refused.
    fn document(
        &mut self,
        write: &Write,
        fields: &Fields,
        strict: &BTreeMap<String, StrictKind>,
        now_ms: u64,
    ) -> Result<TantivyDocument, String> {
        if write.id.len() > DOCUMENT_ID_BYTES_MAX {
            return Err(format!("the id has {} bytes: an id has at most {DOCUMENT_ID_BYTES_MAX}", write.id.len()));
        }
        let head = (&*write.id, write.version);
        match &write.action {
            Action::Index(body) => document::indexed(fields, head, body, &mut self.mapping, strict),
            Action::Delete => Ok(document::tombstone(fields, head, now_ms)),
            Action::Emit(_) => {
                Err("the embedded index holds documents: emit messages to a sink that sends them on, such as file".to_owned())
            }
        }
    }

    fn commit(&mut self, staged: Vec<Staged<'_>>, stored: &HashMap<&str, u64>, now_ms: u64) -> tantivy::Result<()> {
        let fields = self.view.fields;
        for Staged { id, document, .. } in staged {
            // A delete costs a look into every segment: new documents do without.
            if stored.contains_key(id) {
                self.writer.delete_term(Term::from_field_text(fields.id, id));
            }
            self.writer.add_document(document)?;
        }
        self.prune(now_ms)?;
        if self.mapping.is_changed {
            self.payload = self.mapping.payload();
        }
        let mut commit = self.writer.prepare_commit()?;
        commit.set_payload(&self.payload);
        commit.commit()?;
        self.reader.reload()?;
        let mapping = if self.mapping.is_changed { Arc::new(self.mapping.clone()) } else { self.view.mapping.clone() };
        self.mapping.is_changed = false;
        self.view = Arc::new(View { searcher: self.reader.searcher(), fields, mapping });
        Ok(())
    }

    /// Forgets tombstones that are old enough, now and then.
    fn prune(&mut self, now_ms: u64) -> tantivy::Result<()> {
        if now_ms.saturating_sub(self.pruned_ms) < millis(PRUNE_INTERVAL) {
            return Ok(());
        }
        let at = |ms| Term::from_field_u64(self.view.fields.gone_at, ms);
        let before = now_ms.saturating_sub(millis(TOMBSTONE_RETENTION));
        self.writer.delete_query(Box::new(RangeQuery::new(Bound::Included(at(0)), Bound::Excluded(at(before)))))?;
        self.pruned_ms = now_ms;
        Ok(())
    }
}

/// One thread that indexes, so that a commit makes one segment, and one that merges.
fn writer(index: &Index, options: &IndexOptions) -> tantivy::Result<IndexWriter> {
    let options =
        IndexWriterOptions::builder().num_worker_threads(1).memory_budget_per_thread(options.memory_bytes).num_merge_threads(1).build();
    let writer = index.writer_with_options(options)?;
    let mut merges = LogMergePolicy::default();
    merges.set_min_layer_size(MERGE_FLOOR_DOCUMENTS);
    merges.set_level_log_size(MERGE_LEVEL_LOG);
    merges.set_del_docs_ratio_before_merge(DELETED_RATIO_MAX);
    writer.set_merge_policy(Box::new(merges));
    Ok(writer)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
