extension StringProtocol {
    /// The words of a text: the longest runs of bytes without ASCII white space.
    ///
    /// White space is space, `\t`, `\n`, `\v`, `\f` and `\r`; no word is empty. It works on UTF-8
    /// bytes, so it is many times faster than `split(separator:)`, which looks for the bounds of
    /// characters. The two differ only where a combining mark follows white space: to `split` the
    /// two are one character that separates nothing, here the mark starts a word.
    ///
    /// ```swift
    /// let counts = lines.flatMap { $0.words() }.map { ($0, 1) }.reduceByKey(+)
    /// ```
    @inlinable
    public func words() -> Words {
        Words(String(self))
    }
}

/// The words of a text; see `words()`.
public struct Words: PushSequence, Sendable {
    @usableFromInline let text: String

    @inlinable
    init(_ text: String) {
        self.text = text
    }

    /// Calls a closure with each word.
    ///
    /// - Throws: What `body` throws, at once.
    /// - Complexity: O(*n*) in the bytes. Words of up to 15 bytes take no allocation.
    @inlinable
    public func forEachPush(_ body: (String) throws -> Void) rethrows {
        var text = text
        try text.withUTF8 { utf8 in
            guard let base = utf8.baseAddress else { return }
            let bytes = UnsafeRawPointer(base)
            var start = 0
            try WhitespaceMatcher().forEachMatch(in: bytes, count: utf8.count) { end in
                if start < end {
                    try body(String(validUTF8: bytes, start, end, of: utf8.count))
                }
                start = end &+ 1
            }
        }
    }

    /// Returns an iterator over the words.
    @inlinable
    public func makeIterator() -> Iterator {
        Iterator(text)
    }

    /// Finds the words of a text one after another.
    public struct Iterator: IteratorProtocol, Sendable {
        @usableFromInline var text: String
        @usableFromInline var offset = 0

        @inlinable
        init(_ text: String) {
            self.text = text
        }

        /// The next word, or nil after the last.
        @inlinable
        public mutating func next() -> String? {
            let start = offset
            let (word, end) = text.withUTF8 { utf8 -> (String?, Int) in
                let count = utf8.count
                guard let base = utf8.baseAddress else { return (nil, count) }
                let bytes = UnsafeRawPointer(base)
                var start = start
                while start < count {
                    let end = WhitespaceMatcher().firstMatch(in: bytes, from: start, count: count)
                    if start < end {
                        return (String(validUTF8: bytes, start, end, of: count), end &+ 1)
                    }
                    start = end &+ 1
                }
                return (nil, count)
            }
            offset = end
            return word
        }
    }
}
