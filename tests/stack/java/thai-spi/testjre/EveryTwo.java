package testjre;

import java.text.BreakIterator;
import java.text.CharacterIterator;
import java.text.StringCharacterIterator;

/** Breaks after every second character. */
final class EveryTwo extends BreakIterator {
    private CharacterIterator text = new StringCharacterIterator("");
    private int position;

    private int begin() { return text.getBeginIndex(); }
    private int end() { return text.getEndIndex(); }
    private int offset(int at) { return at - begin(); }

    private int moveTo(int at) {
        text.setIndex(at);
        return position = at;
    }

    @Override public int first() { return moveTo(begin()); }
    @Override public int last() { return moveTo(end()); }
    @Override public int next() { return position >= end() ? DONE : moveTo(Math.min(end(), position + 2 - offset(position) % 2)); }
    @Override public int previous() { return position <= begin() ? DONE : moveTo(position - (offset(position) % 2 == 0 ? 2 : 1)); }

    @Override public int next(int steps) {
        int at = position;
        for (; steps > 0 && at != DONE; steps--) at = next();
        for (; steps < 0 && at != DONE; steps++) at = previous();
        return at;
    }

    @Override public int following(int at) {
        moveTo(at);
        return next();
    }

    @Override public boolean isBoundary(int at) { return at == end() || offset(at) % 2 == 0; }
    @Override public int current() { return position; }
    @Override public CharacterIterator getText() { return text; }

    @Override public void setText(CharacterIterator other) {
        text = other;
        position = other.getBeginIndex();
    }

    @Override public Object clone() {
        EveryTwo copy = (EveryTwo) super.clone();
        copy.text = (CharacterIterator) text.clone();
        return copy;
    }
}
