//! Sorting by a column.

use tantivy::collector::sort_key::NaturalComparator;
use tantivy::collector::{SegmentSortKeyComputer, SortKeyComputer};
use tantivy::columnar::{Column, ColumnType, StrColumn};
use tantivy::{DocId, Score, SegmentReader};

/// Sorts by a column of numbers. Tantivy's own fails where a segment lacks the column, and takes the first value of a list
/// where the least (or, from large to small, the greatest) is what people expect.
pub struct ByNumber {
    /// The column's name.
    pub column: String,
    /// Which value of a list counts.
    pub greatest: bool,
}

/// Sorts by a column of texts, byte by byte, as [`ByNumber`] does by numbers.
pub struct ByText {
    /// The column's name.
    pub column: String,
    /// Which value of a list counts.
    pub greatest: bool,
}

impl SortKeyComputer for ByNumber {
    type SortKey = Option<u64>;
    type Child = NumbersOfSegment;
    type Comparator = NaturalComparator;

    fn segment_sort_key_computer(&self, segment: &SegmentReader) -> tantivy::Result<Self::Child> {
        let numbers = segment.fast_fields().u64_lenient_for_type(Some(&[ColumnType::F64, ColumnType::I64]), &self.column)?;
        Ok(NumbersOfSegment { column: numbers.map(|(column, _)| column), greatest: self.greatest })
    }
}

impl SortKeyComputer for ByText {
    type SortKey = Option<String>;
    type Child = TextsOfSegment;
    type Comparator = NaturalComparator;

    fn segment_sort_key_computer(&self, segment: &SegmentReader) -> tantivy::Result<Self::Child> {
        Ok(TextsOfSegment { column: segment.fast_fields().str(&self.column)?, greatest: self.greatest })
    }
}

/// The numbers of one segment, as integers of the same order.
pub struct NumbersOfSegment {
    column: Option<Column<u64>>,
    greatest: bool,
}

impl SegmentSortKeyComputer for NumbersOfSegment {
    type SortKey = Option<u64>;
    type SegmentSortKey = Option<u64>;
    type SegmentComparator = NaturalComparator;

    fn segment_sort_key(&mut self, doc: DocId, _score: Score) -> Option<u64> {
        extreme(self.column.as_ref()?, doc, self.greatest)
    }

    fn convert_segment_sort_key(&self, key: Option<u64>) -> Option<u64> {
        key
    }
}

/// The texts of one segment, by their place in its dictionary.
pub struct TextsOfSegment {
    column: Option<StrColumn>,
    greatest: bool,
}

impl SegmentSortKeyComputer for TextsOfSegment {
    type SortKey = Option<String>;
    type SegmentSortKey = Option<u64>;
    type SegmentComparator = NaturalComparator;

    fn segment_sort_key(&mut self, doc: DocId, _score: Score) -> Option<u64> {
        extreme(self.column.as_ref()?.ords(), doc, self.greatest)
    }

    fn convert_segment_sort_key(&self, key: Option<u64>) -> Option<String> {
        let mut text = String::new();
        self.column.as_ref()?.ord_to_str(key?, &mut text).ok()?.then_some(text)
    }
}

fn extreme(column: &Column<u64>, doc: DocId, greatest: bool) -> Option<u64> {
    let values = column.values_for_doc(doc);
    if greatest { values.max() } else { values.min() }
}
