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

    /// Bytes of one element: itself, its encoded form, and what its parts take behind references.
    @Test func storageOfCollectionsCounts() {
        // The array's reference; count and number; 32 bytes of header and 8 of the element.
        #expect(Values([[1]]).byteCount == 8 + 2 + 48)
        #expect(Values([[Int]()]).byteCount == 8 + 1)
        #expect(Values([[[UInt8]]](arrayLiteral: [[1]])).byteCount == 8 + 3 + 48 + 47)
        #expect(Values([[1: 2]]).byteCount == 8 + 3 + 112)
        #expect(Values([Set([1])]).byteCount == 8 + 2 + 96)
        let hundred = Dictionary(uniqueKeysWithValues: (0..<100).map { ($0, $0) })
        // 256 places, of which at most three quarters are used, a bit for each, the allocator's own.
        #expect(
            Values([hundred]).byteCount == 8 + 1 + 100 + 36 + 100 + 36 + 64 + 32 + 256 * 16 + 16)
        let text = String(repeating: "x", count: 20)
        #expect(Values([[text]]).byteCount == 8 + 22 + 64 + 44)
        #expect(Values([["short"]]).byteCount == 8 + 7 + 64)
    }

    private struct Row: Codable, Equatable, StreamCodable {
        var numbers: [Int] = []
        var names: [String: Int] = [:]
        var kinds: Set<UInt8> = []
    }

    @Test func partsOfCodableTypesCountWhatTheyTake() {
        let numbers = Row(numbers: [Int](repeating: 0, count: 1000))
        #expect(Values([numbers]).byteCount >= 8000 + 2000)
        let names = Row(names: Dictionary(uniqueKeysWithValues: (0..<100).map { ("\($0)", $0) }))
        #expect(Values([names]).byteCount >= 256 * 24)
        let kinds = Row(kinds: Set(0..<100))
        #expect(Values([kinds]).byteCount >= 256)
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
