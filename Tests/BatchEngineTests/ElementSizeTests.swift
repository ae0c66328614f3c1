import BatchEngine
import Testing

/// Estimates of the memory that elements take.
@Suite struct ElementSizeTests {
    @Test func payloadsBehindReferencesCount() {
        let large = [UInt8](repeating: 7, count: 1 << 20)
        #expect(Values([large, large]).byteCount >= 2 << 20)
        #expect(Values([("k", large)]).byteCount >= 1 << 20)
        #expect(Values([[large]]).byteCount >= 1 << 20)
        #expect(Values([String(repeating: "x", count: 5000)]).byteCount >= 5000)
    }

    @Test func elementsOfCollectionsCountWhatTheyTake() {
        // A byte each when encoded.
        let strings = [String](repeating: "", count: 1000)
        #expect(Values([strings, strings]).byteCount >= 32_000)
        #expect(Values([("k", [Int?](repeating: nil, count: 1000))]).byteCount >= 9000)
        let size = ElementSize<[String]>()
        #expect(size.byteCount(of: strings, index: 0, last: 0) >= 16_000)
    }

    @Test func plainNumbersCountTheirStride() {
        #expect(Values(Array(0..<1000)).byteCount == 8000)
        #expect(Values([1.5, 2.5]).byteCount == 16)
        #expect(Values([Int]()).byteCount == 0)
    }

    @Test func singleElementsAreJudgedByThoseBefore() {
        let size = ElementSize<(String, [UInt8])>()
        let element = ("k", [UInt8](repeating: 7, count: 10_000))
        var last = 0
        for index in 0..<100 {
            last = size.byteCount(of: element, index: index, last: last)
            #expect(last >= 10_000)
        }
    }
}
