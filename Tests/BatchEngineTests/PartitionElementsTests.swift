import BatchEngine
import Testing

/// The typed elements of a piece of a partition.
@Suite("Elements of a piece") struct PartitionElementsTests {
    private struct Opaque: Sendable {}

    @Test("objects and bytes are read, others are refused by name")
    func elements() throws {
        let values = Values([1, 2, 3])
        #expect(try PartitionData.values(values).elements(of: Int.self) == [1, 2, 3])
        let encoded = PartitionData.encoded(try values.encoded())
        #expect(try encoded.elements(of: Int.self) == [1, 2, 3])
        let error = #expect(throws: EngineError.self) {
            try PartitionData.values(values).elements(of: String.self)
        }
        #expect(error?.code == .invalidPlan && error?.message.contains("String") == true)
        let missing = #expect(throws: EngineError.self) { try encoded.elements(of: Opaque.self) }
        #expect(missing?.code == .codecMissing)
    }
}
