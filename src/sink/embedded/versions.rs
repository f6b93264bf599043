//! Which versions an index holds.

use std::collections::HashMap;

use tantivy::schema::IndexRecordOption;
use tantivy::{DocSet, Searcher, SegmentReader, TERMINATED, Term};

use crate::sink::embedded::schema::Fields;

/// The versions stored of these ids, tombstones included.
///
/// Ids are looked up in their order, segment by segment, so that the pages of a term dictionary are read once; an id that
/// has been found is not looked for any more, because only one document of an id is alive.
pub fn stored<'a>(searcher: &Searcher, fields: &Fields, ids: impl Iterator<Item = &'a str>) -> tantivy::Result<HashMap<&'a str, u64>> {
    let mut wanted: Vec<&'a str> = ids.collect();
    wanted.sort_unstable();
    wanted.dedup();
    let mut wanted: Vec<(&str, Term)> = wanted.into_iter().map(|id| (id, Term::from_field_text(fields.id, id))).collect();
    let mut versions = HashMap::with_capacity(wanted.len());
    for segment in searcher.segment_readers() {
        in_segment(segment, fields, &wanted, &mut versions)?;
        wanted.retain(|(id, _)| !versions.contains_key(id));
    }
    Ok(versions)
}

fn in_segment<'a>(
    segment: &SegmentReader,
    fields: &Fields,
    wanted: &[(&'a str, Term)],
    versions: &mut HashMap<&'a str, u64>,
) -> tantivy::Result<()> {
    let ids = segment.inverted_index(fields.id)?;
    let column = segment.fast_fields().u64("_version")?;
    for (id, term) in wanted {
        let Some(mut documents) = ids.read_postings(term, IndexRecordOption::Basic)? else { continue };
        while documents.doc() != TERMINATED {
            if !segment.is_deleted(documents.doc()) {
                versions.insert(id, column.first(documents.doc()).unwrap_or_default());
                break;
            }
            documents.advance();
        }
    }
    Ok(())
}
