import Testing

/// What the other rules stand on: seeing through strings and comments.
@Suite struct LexerTests {
    private func code(_ text: String) -> [String] {
        Lexer.tokens(of: text).code.map { $0.kind == .string ? "'\($0.text)'" : $0.text }
    }

    @Test func commentsAndStringsAreNoCode() {
        #expect(code("a // b { \n c /* d /* e */ \" */ f") == ["a", "c", "f"])
        #expect(code(#"g("{ // h", i)"#) == ["g", "(", "'{ // h'", ",", "i", ")"])
        #expect(code("\"\"\"\n a \"b\" {\n \"\"\" c") == ["'\n a \"b\" {\n '", "c"])
    }

    @Test func rawStringsEndAtTheirOwnDelimiter() {
        #expect(code(##"a(#"b"c\"#) d"##) == ["a", "(", #"'b"c\'"#, ")", "d"])
        #expect(code("#\"\"\"\n\\(x)\"\"\n\"\"\"# e") == ["'\n\\(x)\"\"\n'", "e"])
        #expect(code("#if x") == ["#", "if", "x"])
    }

    @Test func interpolationsAreCode() {
        let text = #""a \(f(")") + g { "}" }) b" c"#
        #expect(
            code(text) == ["'a  b'", "f", "(", "')'", ")", "+", "g", "{", "'}'", "}", "c"])
    }

    @Test func linesAreCountedThroughStringsAndComments() {
        let tokens = Lexer.tokens(of: "a\n/* b\n c */ d\n\"\"\"\n e\n \"\"\"\nf")
        #expect(tokens.code.filter { $0.kind == .word }.map(\.line) == [1, 3, 7])
        #expect(tokens.first { $0.kind == .string }?.line == 4)
    }

    @Test func unfinishedTextEnds() {
        #expect(code("a \"b\nc") == ["a", "'b'", "c"])
        #expect(code("a /* b") == ["a"])
        #expect(code("\"\\(a") == ["''", "a"])
        #expect(code("`import` b#") == ["`import`", "b", "#"])
    }

    @Test func typeArgumentsAreSkipped() {
        let tokens = Lexer.tokens(of: "Task<() -> Array<Int>, Never> {").code
        #expect(tokens.text(at: tokens.skippingTypeArguments(1)) == "{")
        let comparison = Lexer.tokens(of: "a < b { }").code
        #expect(comparison.skippingTypeArguments(1) == 1)
    }
}
