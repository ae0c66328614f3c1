import Testing

/// What reads the cases is strict.
@Suite struct PieceReadingTests {
    @Test func anUnknownKeyIsADifference() throws {
        let step = try PieceStep(.object(["surprise": .null]))
        #expect(try step.finish().count == 1)
    }

    @Test func anUnmappedMessageIsAnError() {
        #expect(throws: PieceErrorCodes.Unmapped.self) {
            try PieceErrorCodes.code(type: "java.lang.IllegalArgumentException", message: "?")
        }
        // The type counts as well.
        #expect(throws: PieceErrorCodes.Unmapped.self) {
            try PieceErrorCodes.code(type: "java.lang.Exception", message: "/ by zero")
        }
    }

    @Test func negativeZeroIsNotZero() throws {
        #expect(try PieceJSON(parsing: Array("-0.0".utf8)) != .int(0))
        #expect(try PieceJSON(parsing: Array("[1.0E8]".utf8)) == .array([.int(100_000_000)]))
    }
}
