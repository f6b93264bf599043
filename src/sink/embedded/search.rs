//! From a query to a page, with the documents as they were written.

use serde_json::value::RawValue;
use tantivy::collector::{Collector, Count, TopDocs};
use tantivy::schema::Value;
use tantivy::schema::document::CompactDocValue;
use tantivy::{DocAddress, Order as Direction, TantivyDocument, TantivyError};

use crate::sink::embedded::index::View;
use crate::sink::embedded::order::{ByNumber, ByText};
use crate::sink::embedded::query::{self, Order, Plan};
use crate::sink::search::{Descending, Hit, SearchError, SearchRequest, SearchResponse};

/// One page of what the request finds. How long it took is for the caller to say.
pub fn page(view: &View, request: &SearchRequest) -> Result<SearchResponse, SearchError> {
    // Before the first document there are no fields, and a page that asks for some is empty, not wrong.
    let names_fields = !request.fields.is_empty() || !request.filters.is_empty() || request.sort.is_some();
    if view.mapping.is_empty() && names_fields {
        return Ok(SearchResponse { total: 0, hits: Vec::new(), took_ms: 0 });
    }
    let plan = query::plan(view, request).map_err(SearchError::Invalid)?;
    run(view, request, plan).map_err(|error| SearchError::Unavailable(format!("the index cannot be searched: {error}")))
}

fn run(view: &View, request: &SearchRequest, plan: Plan) -> tantivy::Result<SearchResponse> {
    if request.limit == 0 {
        let total = view.searcher.search(&plan.query, &Count)?;
        return Ok(SearchResponse { total: total as u64, hits: Vec::new(), took_ms: 0 });
    }
    let top = TopDocs::with_limit(request.limit).and_offset(request.offset);
    let (total, found) = match plan.order {
        Order::Score => {
            let (total, found) = view.searcher.search(&plan.query, &(Count, top.order_by_score()))?;
            (total, found.into_iter().map(|(score, address)| (Some(f64::from(score)), address)).collect())
        }
        Order::Number(column, descending) => {
            sorted(view, &plan.query, top.order_by((ByNumber { column, greatest: descending }, direction(descending))))?
        }
        Order::Text(column, descending) => {
            sorted(view, &plan.query, top.order_by((ByText { column, greatest: descending }, direction(descending))))?
        }
    };
    let hits = found.into_iter().map(|(score, address)| hit(view, score, address)).collect::<tantivy::Result<_>>()?;
    Ok(SearchResponse { total: total as u64, hits, took_ms: 0 })
}

type Found = Vec<(Option<f64>, DocAddress)>;

fn sorted<K: Send + 'static>(
    view: &View,
    query: &dyn tantivy::query::Query,
    order: impl Collector<Fruit = Vec<(K, DocAddress)>>,
) -> tantivy::Result<(usize, Found)> {
    let (total, found) = view.searcher.search(query, &(Count, order))?;
    Ok((total, found.into_iter().map(|(_, address)| (None, address)).collect()))
}

/// Documents without the field come last both ways.
fn direction(descending: Descending) -> Direction {
    if descending { Direction::Desc } else { Direction::Asc }
}

fn hit(view: &View, score: Option<f64>, address: DocAddress) -> tantivy::Result<Hit> {
    let missing = |what: &str| TantivyError::InternalError(format!("a document without {what}"));
    let stored: TantivyDocument = view.searcher.doc(address)?;
    let text = |value: CompactDocValue<'_>| value.as_str().map(str::to_owned);
    let id = stored.get_first(view.fields.id).and_then(text).ok_or_else(|| missing("an id"))?;
    let source = stored.get_first(view.fields.source).ok_or_else(|| missing("its source"))?;
    let source = source.as_bytes().and_then(|bytes| String::from_utf8(bytes.to_vec()).ok()).ok_or_else(|| missing("text"))?;
    let document = RawValue::from_string(source).map_err(|_| missing("JSON"))?;
    let versions = view.searcher.segment_reader(address.segment_ord).fast_fields().u64("_version")?;
    Ok(Hit { id, score, version: versions.first(address.doc_id), document })
}
