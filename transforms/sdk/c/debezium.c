/* What Debezium makes of values that JSON has no type for. */
#include "inside.h"
#include "rowmill.h"

/* Postgres allows 131,072 digits before the point and 16,383 after it; working those out takes the square of their number in time. */
enum { SCALE_MAX = 131072, DECIMAL_BYTES_MAX = 16384 };

rm_text rm_decode_bytes(rm_text base64) {
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t digits = base64.length;
    while (digits > 0 && base64.at[digits - 1] == '=') digits--;
    char *bytes = rm_take(digits), *to = bytes;
    uint32_t held = 0, bits = 0;
    bool valid = digits % 4 != 1;
    for (size_t place = 0; place < digits && valid; place++) {
        const char *found = memchr(alphabet, base64.at[place], 64);
        valid = found != NULL;
        held = held << 6 | (found ? (uint32_t)(found - alphabet) : 0);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            *to++ = (char)(held >> bits);
        }
    }
    if (!valid) {
        rm_reject("`%.*s` is not base64", RM_ARG(base64));
        to = bytes;
    }
    return (rm_text){bytes, (size_t)(to - bytes)};
}

rm_text rm_decode_decimal(rm_text base64, int scale) {
    rm_text bytes = rm_decode_bytes(base64);
    if (bytes.length > DECIMAL_BYTES_MAX || scale > SCALE_MAX || scale < -SCALE_MAX) {
        rm_reject("a decimal of %zu bytes and scale %d is too long", bytes.length, scale);
        return (rm_text){"", 0};
    }
    /* The amount without its sign, highest byte first: two's complement turned around. */
    bool negative = bytes.length > 0 && (unsigned char)bytes.at[0] >= 0x80;
    unsigned char *amount = rm_take(bytes.length);
    unsigned carry = negative;
    for (size_t place = bytes.length; place-- > 0;) {
        unsigned byte = ((unsigned char)bytes.at[place] ^ (negative ? 0xffu : 0u)) + carry;
        amount[place] = (unsigned char)byte;
        carry = byte >> 8;
    }
    /* Divided by 10⁹ again and again: each remainder is nine digits, written from the end. */
    size_t zeros = scale < 0 ? (size_t)-scale : 0, behind = scale > 0 ? (size_t)scale : 0;
    size_t most = bytes.length * 5 / 2 + behind + zeros + 16;
    char *text = rm_take(most), *end = text + most - zeros, *at = end;
    for (size_t from = 0; from < bytes.length;) {
        uint64_t rest = 0;
        for (size_t place = from; place < bytes.length; place++) {
            uint64_t value = rest << 8 | amount[place];
            amount[place] = (unsigned char)(value / 1000000000);
            rest = value % 1000000000;
        }
        while (from < bytes.length && amount[from] == 0) from++;
        for (int digit = 0; digit < 9; digit++, rest /= 10) *--at = (char)('0' + rest % 10);
    }
    while (at < end && *at == '0') at++;
    if (at < end && zeros) {
        memset(end, '0', zeros);
        end += zeros;
    }
    while ((size_t)(end - at) < behind + 1) *--at = '0';
    if (behind) {
        memmove(at - 1, at, (size_t)(end - at) - behind);
        at--;
        end[-(ptrdiff_t)behind - 1] = '.';
    }
    if (negative) *--at = '-';
    return (rm_text){at, (size_t)(end - at)};
}

/* Days since 1970-01-01 to a date (Howard Hinnant, "chrono-compatible low-level date algorithms"). */
rm_text rm_date(int days) {
    int64_t shifted = (int64_t)days + 719468; /* from 0000-03-01 */
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097, of_era = shifted - era * 146097;
    int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t from_march = (5 * of_year + 2) / 153;
    int day = (int)(of_year - (153 * from_march + 2) / 5 + 1), month = (int)(from_march < 10 ? from_march + 3 : from_march - 9);
    long long year = (long long)(year_of_era + era * 400 + (month <= 2));
    const char *sign = year < 0 ? "-" : year > 9999 ? "+" : "";
    return rm_format("%s%04lld-%02d-%02d", sign, year < 0 ? -year : year, month, day);
}
