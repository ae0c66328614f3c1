extension StringProtocol {
    /// The fields of a text between the occurrences of a separator.
    ///
    /// As with Java's `split(" ")`: empty fields in front and in between count, empty ones at the
    /// end do not, and an empty text has one empty field. It works on UTF-8 bytes.
    ///
    /// - Parameter separator: The byte that separates, below 128.
    /// - Precondition: The separator is ASCII.
    @inlinable
    public func fields(separator: UInt8) -> Fields {
        precondition(separator < 0x80, "the separator must be ASCII")
        return Fields(String(self), separator)
    }

    /// The fields of a text between the occurrences of a separator.
    ///
    /// As with Java's `split(" ")`: empty fields in front and in between count, empty ones at the
    /// end do not, and an empty text has one empty field. It works on UTF-8 bytes.
    ///
    /// - Parameter separator: The character that separates.
    /// - Precondition: The separator is ASCII, and not the pair `"\r\n"`.
    @inlinable
    public func fields(separator: Character) -> Fields {
        guard let byte = separator.asciiValue, separator != "\r\n" else {
            preconditionFailure("the separator must be a single ASCII character")
        }
        return Fields(String(self), byte)
    }
}

/// The fields of a text; see `fields(separator:)`.
public struct Fields: PushSequence, Sendable {
    @usableFromInline let text: String
    @usableFromInline let separator: UInt8

    @inlinable
    init(_ text: String, _ separator: UInt8) {
        self.text = text
        self.separator = separator
    }

    /// Calls a closure with each field.
    ///
    /// - Throws: What `body` throws, at once.
    /// - Complexity: O(*n*) in the bytes. Fields of up to 15 bytes take no allocation.
    @inlinable
    public func forEachPush(_ body: (String) throws -> Void) rethrows {
        var text = text
        try text.withUTF8 { utf8 in
            guard let base = utf8.baseAddress, !utf8.isEmpty else { return try body("") }
            let bytes = UnsafeRawPointer(base)
            var start = 0
            // Empty fields wait until it is known that they are not at the end.
            var emptyFields = 0
            let matcher = SingleByteMatcher(separator)
            try matcher.forEachMatch(in: bytes, count: utf8.count) { end in
                if start < end {
                    while emptyFields > 0 {
                        try body("")
                        emptyFields &-= 1
                    }
                    try body(String(validUTF8: bytes, start, end, of: utf8.count))
                } else {
                    emptyFields &+= 1
                }
                start = end &+ 1
            }
        }
    }

    /// Returns an iterator over the fields.
    @inlinable
    public func makeIterator() -> Iterator {
        Iterator(text, separator)
    }

    /// Finds the fields of a text one after another.
    public struct Iterator: IteratorProtocol, Sendable {
        @usableFromInline var text: String
        @usableFromInline let matcher: SingleByteMatcher
        @usableFromInline var offset = 0
        /// The end of the last field that counts; there is one more field as long as it is ahead.
        @usableFromInline let end: Int

        @inlinable
        init(_ text: String, _ separator: UInt8) {
            self.text = text
            matcher = SingleByteMatcher(separator)
            end = self.text.withUTF8 { utf8 in
                if utf8.isEmpty { return 0 }
                return utf8.lastIndex { $0 != separator }.map { $0 + 1 } ?? -1
            }
        }

        /// The next field, or nil after the last.
        @inlinable
        public mutating func next() -> String? {
            guard offset <= end else { return nil }
            let start = offset
            let limit = end
            let matcher = matcher
            let (field, fieldEnd) = text.withUTF8 { utf8 -> (String, Int) in
                guard let base = utf8.baseAddress, limit > 0 else { return ("", limit) }
                let bytes = UnsafeRawPointer(base)
                let fieldEnd = matcher.firstMatch(in: bytes, from: start, count: limit)
                if fieldEnd == start { return ("", fieldEnd) }
                return (String(validUTF8: bytes, start, fieldEnd, of: utf8.count), fieldEnd)
            }
            offset = fieldEnd &+ 1
            return field
        }
    }
}
