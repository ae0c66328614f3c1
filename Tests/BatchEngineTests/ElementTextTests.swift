import Testing

import BatchEngine

@Suite("Elements as text")
struct ElementTextTests {
    @Test("strings, numbers and tuples as Spark prints them")
    func plain() {
        #expect(elementText("a b") == "a b")
        #expect(elementText(-3) == "-3")
        #expect(elementText(true) == "true")
        #expect(elementText(1.5) == "1.5")
        #expect(elementText(("a", 1)) == "(a,1)")
        #expect(elementText((1, ("b", (2, "c")))) == "(1,(b,(2,c)))")
    }

    @Test("optionals and lists, nested in one another")
    func nested() {
        #expect(elementText(Optional<Int>.none) == "None")
        #expect(elementText([1, 2]) == "List(1, 2)")
        #expect(elementText([("a", 1)]) == "List((a,1))")
        #expect(elementText((1, ["x"])) == "(1,List(x))")
        #expect(elementText(("k", Optional<Int>.none)) == "(k,None)")
        #expect(elementText(Optional((1, 2))) == "Some((1,2))")
    }

    @Test("an optional is not taken for what it wraps")
    func optionals() {
        #expect(elementText(Optional(3)) == "Some(3)")
        #expect(elementText(Optional("x")) == "Some(x)")
        #expect(elementText(("k", Optional(1))) == "(k,Some(1))")
    }
}
