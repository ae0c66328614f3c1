import BatchEngine
import DStreamTestKit
import Testing

struct WordsTests {
    private func pushed(_ sequence: some PushSequence<String>) -> [String] {
        var elements: [String] = []
        sequence.forEachPush { elements.append($0) }
        return elements
    }

    /// The words, found byte by byte.
    private func model(_ text: String) -> [String] {
        text.utf8.split { $0 == 32 || (9...13).contains($0) }.map { String(Substring($0)) }
    }

    /// The fields, by the rules of Java's `split`.
    private func fieldModel(_ text: String, _ separator: UInt8) -> [String] {
        if text.isEmpty { return [""] }
        var fields = text.utf8.split(separator: separator, omittingEmptySubsequences: false)
        while fields.last?.isEmpty == true { fields.removeLast() }
        return fields.map { String(Substring($0)) }
    }

    @Test func `white space separates and no word is empty`() {
        #expect(pushed("".words()).isEmpty)
        #expect(pushed(" \t\r\n\u{b}\u{c} ".words()).isEmpty)
        #expect(pushed("one".words()) == ["one"])
        #expect(pushed("  to be,\tor\r\nnot  ".words()) == ["to", "be,", "or", "not"])
        #expect(pushed("a\u{a0}b \u{85}c\0d".words()) == ["a\u{a0}b", "\u{85}c\0d"])
        #expect(pushed("x)\u{1f}!\u{8}\u{e} ~".words()) == ["x)\u{1f}!\u{8}\u{e}", "~"])
        #expect(pushed("some text here".dropFirst(5).words()) == ["text", "here"])
    }

    @Test func `each byte separates or does not wherever it stands`() {
        for byte in UInt8(0)...127 {
            for position in 0..<20 {
                var bytes = [UInt8](repeating: 97, count: 20)
                bytes[position] = byte
                let text = String(decoding: bytes, as: UTF8.self)
                #expect(pushed(text.words()) == model(text))
                #expect(pushed(text.fields(separator: byte)) == fieldModel(text, byte))
            }
        }
    }

    @Test(arguments: 1...20)
    func `words and fields agree with their models`(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        let pieces = ["a", "bc", "é", "日本", "👍", " ", " ", "\t", "\n", "sixteen bytes!!!", ",", ""]
        for _ in 0..<200 {
            let count = Int.random(in: 0..<40, using: &random)
            let text = (0..<count).map { _ in pieces.randomElement(using: &random) ?? "" }.joined()
            let words = model(text)
            #expect(pushed(text.words()) == words)
            #expect(Array(text.words()) == words)
            for word in text.words() {
                // Words made in place equal, hash and grow as any other string.
                #expect(
                    word.utf8.elementsEqual(String(decoding: Array(word.utf8), as: UTF8.self).utf8))
                #expect(Set(words).contains(word))
                #expect((word + "!").utf8.count == word.utf8.count + 1)
                #expect(word.count == Array(word).count)
            }
            for separator: Character in [" ", ","] {
                let fields = fieldModel(text, separator.asciiValue ?? 0)
                #expect(pushed(text.fields(separator: separator)) == fields)
                #expect(Array(text.fields(separator: separator)) == fields)
            }
        }
    }

    @Test func `fields keep inner empty strings and drop the last ones`() {
        #expect(pushed("".fields(separator: " ")) == [""])
        #expect(pushed(" ".fields(separator: " ")) == [])
        #expect(pushed("a b".fields(separator: " ")) == ["a", "b"])
        #expect(pushed(" a  b  ".fields(separator: " ")) == ["", "a", "", "b"])
        #expect(Array(" a  b  ".fields(separator: " ")) == ["", "a", "", "b"])
        #expect(Array("".fields(separator: 44)) == [""])
        #expect(Array(",,".fields(separator: 44)) == [])
    }

    @Test func `an error stops the pass`() {
        struct Stop: Error {}
        var seen: [String] = []
        #expect(throws: Stop.self) {
            try "a b c".words().forEachPush { word in
                seen.append(word)
                if word == "b" { throw Stop() }
            }
        }
        #expect(seen == ["a", "b"])
    }

    @Test func `short words are what the standard library makes of the same bytes`() {
        for count in 1...15 {
            for letter in ["a", "é", "z"] {
                var text = ""
                while text.utf8.count + letter.utf8.count <= count { text += letter }
                if text.isEmpty { continue }
                let word = pushed(" \(text) and more text to follow".words())[0]
                let words = unsafeBitCast(word, to: (UInt64, UInt64).self)
                let own = String(decoding: Array(text.utf8), as: UTF8.self)
                #expect(words == unsafeBitCast(own, to: (UInt64, UInt64).self))
            }
        }
    }
}
