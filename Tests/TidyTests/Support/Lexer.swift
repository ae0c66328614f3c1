/// Cuts Swift source text into tokens: enough to see through strings and comments, and no more.
///
/// It knows nested comments, raw and multi-line strings, interpolations and `#/…/#`. A plain `/…/`
/// is taken for two operators.
struct Lexer {
    private let bytes: [UInt8]
    private var position = 0
    private var line = 1
    private var endOfPrevious = -1
    private var tokens: [Token] = []

    private init(_ text: String) { bytes = Array(text.utf8) }

    /// The tokens of a text, comments included.
    static func tokens(of text: String) -> [Token] {
        var lexer = Lexer(text)
        lexer.lexCode(untilParenthesis: false)
        return lexer.tokens
    }

    private func byte(_ distance: Int = 0) -> UInt8 {
        let index = position + distance
        return index < bytes.count ? bytes[index] : 0
    }

    private func isNext(_ text: StaticString, _ distance: Int = 0) -> Bool {
        for offset in 0..<text.utf8CodeUnitCount
        where byte(distance + offset) != text.utf8Start[offset] { return false }
        return true
    }

    private mutating func advance(_ count: Int = 1) {
        for _ in 0..<count where position < bytes.count {
            if bytes[position] == UInt8(ascii: "\n") { line += 1 }
            position += 1
        }
    }

    private func text(from start: Int) -> String {
        String(decoding: bytes[start..<position], as: UTF8.self)
    }

    private mutating func add(_ kind: Token.Kind, from start: Int, line startLine: Int) {
        tokens.append(
            Token(
                kind: kind, text: text(from: start), line: startLine,
                touchesPrevious: endOfPrevious == start))
        endOfPrevious = position
    }

    /// Cuts code until the text ends, or the parenthesis closes that opened before.
    private mutating func lexCode(untilParenthesis: Bool) {
        var depth = 0
        while position < bytes.count {
            let start = position
            let startLine = line
            if untilParenthesis {
                if byte() == UInt8(ascii: "(") { depth += 1 }
                if byte() == UInt8(ascii: ")") {
                    if depth == 0 { return advance() }
                    depth -= 1
                }
            }
            switch byte() {
            case UInt8(ascii: " "), UInt8(ascii: "\n"), UInt8(ascii: "\t"), UInt8(ascii: "\r"):
                advance()
            case UInt8(ascii: "/") where isNext("//"):
                while position < bytes.count, byte() != UInt8(ascii: "\n") { advance() }
                add(.comment, from: start, line: startLine)
            case UInt8(ascii: "/") where isNext("/*"):
                skipBlockComment()
                add(.comment, from: start, line: startLine)
            case UInt8(ascii: "#") where isNext("#/"):
                while position < bytes.count, !isNext("/#") { advance() }
                advance(2)
            case UInt8(ascii: "\""): lexString(hashes: 0)
            case UInt8(ascii: "#") where hashesBeforeQuote > 0:
                lexString(hashes: hashesBeforeQuote)
            case let first where Self.isWord(first) || first == UInt8(ascii: "`"):
                repeat { advance() } while Self.isWord(byte())
                if byte() == UInt8(ascii: "`") { advance() }
                add(.word, from: start, line: startLine)
            default:
                advance()
                add(.mark, from: start, line: startLine)
            }
        }
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "$"), 0x80...:
            return true
        default: return false
        }
    }

    private mutating func skipBlockComment() {
        var depth = 0
        repeat {
            if isNext("/*") {
                depth += 1
                advance(2)
            } else if isNext("*/") {
                depth -= 1
                advance(2)
            } else {
                advance()
            }
        } while depth > 0 && position < bytes.count
    }

    /// How many `#` stand here in front of a quotation mark; 0 if none do.
    private var hashesBeforeQuote: Int {
        var count = 0
        while byte(count) == UInt8(ascii: "#") { count += 1 }
        return byte(count) == UInt8(ascii: "\"") ? count : 0
    }

    private func areHashes(_ count: Int, _ distance: Int) -> Bool {
        for offset in 0..<count where byte(distance + offset) != UInt8(ascii: "#") { return false }
        return true
    }

    private mutating func lexString(hashes: Int) {
        let start = position
        let index = tokens.count
        add(.string, from: start, line: line)
        advance(hashes)
        let isLong = isNext("\"\"\"")
        advance(isLong ? 3 : 1)
        var content: [UInt8] = []
        while position < bytes.count {
            let isQuote = isLong ? isNext("\"\"\"") : byte() == UInt8(ascii: "\"")
            if isQuote, areHashes(hashes, isLong ? 3 : 1) {
                advance((isLong ? 3 : 1) + hashes)
                break
            }
            if byte() == UInt8(ascii: "\\"), areHashes(hashes, 1) {
                advance(1 + hashes)
                if byte() == UInt8(ascii: "(") {
                    advance()
                    lexCode(untilParenthesis: true)
                } else {
                    content.append(byte())
                    advance()
                }
                continue
            }
            // An unfinished literal: the compiler will complain, the rest can still be read.
            if !isLong, byte() == UInt8(ascii: "\n") { break }
            content.append(byte())
            advance()
        }
        tokens[index].text = String(decoding: content, as: UTF8.self)
        endOfPrevious = position
    }
}
