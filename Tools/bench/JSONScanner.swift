/// Reads one JSON object field by field, without making anything of what is not wanted.
///
/// Each method returns nil or false where the text is not what it asks for; there is no way back.
struct JSONScanner {
    private let bytes: UnsafeBufferPointer<UInt8>
    private var offset = 0

    init(_ bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    /// Calls a closure with each key of an object; the closure reads the value, or skips it.
    ///
    /// - Returns: whether this is an object and nothing follows it.
    mutating func object(_ field: (String, inout JSONScanner) -> Bool) -> Bool {
        guard take("{") else { return false }
        guard !take("}") else { return isAtEnd() }
        repeat {
            guard let key = string(), take(":"), field(key, &self) else { return false }
        } while take(",")
        return take("}") && isAtEnd()
    }

    /// A string, its escapes replaced.
    mutating func string() -> String? {
        guard take("\"") else { return nil }
        let start = offset
        while offset < bytes.count {
            switch bytes[offset] {
            case UInt8(ascii: "\""):
                offset += 1
                return text(start, offset - 1)
            case UInt8(ascii: "\\"): return escaped(from: start)
            case 0..<0x20: return nil
            default: offset += 1
            }
        }
        return nil
    }

    /// A whole number.
    mutating func integer() -> Int? {
        let isNegative = take("-")
        var value = 0
        var digits = 0
        skipSpace()
        while let byte = current, byte >= 48, byte <= 57 {
            let (product, isBeyond) = value.multipliedReportingOverflow(by: 10)
            guard !isBeyond, product <= Int.max - 9 else { return nil }
            value = product + Int(byte - 48)
            digits += 1
            offset += 1
        }
        return digits == 0 ? nil : isNegative ? -value : value
    }

    /// Passes over any value.
    mutating func skipValue() -> Bool {
        var depth = 0
        repeat {
            skipSpace()
            switch current {
            case nil: return false
            case UInt8(ascii: "\""): guard string() != nil else { return false }
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                offset += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth -= 1
                offset += 1
            case UInt8(ascii: ","), UInt8(ascii: ":"): offset += 1
            default: skipLiteral()
            }
        } while depth > 0
        return depth == 0
    }

    private mutating func skipLiteral() {
        let ends = [UInt8(ascii: ","), UInt8(ascii: "}"), UInt8(ascii: "]"), UInt8(ascii: " ")]
        repeat { offset += 1 } while current.map { !ends.contains($0) } ?? false
    }

    private var current: UInt8? { offset < bytes.count ? bytes[offset] : nil }

    private mutating func skipSpace() {
        while let byte = current, byte == 0x20 || (0x09...0x0D).contains(byte) { offset += 1 }
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        skipSpace()
        guard current == UInt8(ascii: character) else { return false }
        offset += 1
        return true
    }

    private mutating func isAtEnd() -> Bool {
        skipSpace()
        return offset == bytes.count
    }

    private func text(_ start: Int, _ end: Int) -> String {
        String(decoding: bytes[start..<end], as: UTF8.self)
    }

    /// The rest of a string that has escapes, together with what came before the first of them.
    private mutating func escaped(from start: Int) -> String? {
        var text = text(start, offset)
        var plain = offset
        while let byte = current {
            if byte == UInt8(ascii: "\"") {
                text += self.text(plain, offset)
                offset += 1
                return text
            }
            offset += 1
            guard byte == UInt8(ascii: "\\") else { continue }
            text += self.text(plain, offset - 1)
            guard let scalar = escape() else { return nil }
            text.unicodeScalars.append(scalar)
            plain = offset
        }
        return nil
    }

    /// What the escape after a backslash stands for.
    private mutating func escape() -> Unicode.Scalar? {
        guard let byte = current else { return nil }
        offset += 1
        switch byte {
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "u"): return unicode()
        default: return Unicode.Scalar(byte)
        }
    }

    /// Four hexadecimal digits, or twice four of a pair of surrogates.
    private mutating func unicode() -> Unicode.Scalar? {
        guard let first = fourDigits() else { return nil }
        guard first & 0xFC00 == 0xD800 else { return Unicode.Scalar(first) }
        guard take("\\"), take("u"), let second = fourDigits(), second & 0xFC00 == 0xDC00
        else { return nil }
        return Unicode.Scalar(0x10000 + (first & 0x3FF) << 10 + second & 0x3FF)
    }

    private mutating func fourDigits() -> UInt32? {
        guard offset + 4 <= bytes.count else { return nil }
        defer { offset += 4 }
        return UInt32(text(offset, offset + 4), radix: 16)
    }
}
