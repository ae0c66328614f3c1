import BatchEngine
import DStreamTestKit
import Testing

@Suite("Wrong block stores are noticed", .timeLimit(.minutes(5)))
struct WrongBlockStoreTests {
    @Test(
        arguments: zip(
            WrongBlockStore.Fault.allCases,
            [
                "keeps bytes, not the objects themselves", "gives back what was stored",
                "put replaces what was there", "without a codec throws .codecMissing",
                "leaves nothing",
            ]))
    func fault(_ fault: WrongBlockStore.Fault, promise: String) async {
        let failure = await failure { try checkBlockStore { WrongBlockStore(fault) } }
        #expect(failure.contains(promise))
    }
}

final class WrongBlockStore: BlockStore {
    enum Fault: CaseIterable {
        case keepsObjects, forgetsPieces, keepsTheFirst, needsNoCodec, removesNothing
    }

    private let base = InMemoryBlockStore()
    private let fault: Fault

    init(_ fault: Fault) { self.fault = fault }

    var usage: BlockStoreUsage { base.usage }

    func put(
        _ id: BlockID, _ contents: [PartitionData], level: StorageLevel, codec: ErasedCodec?
    ) throws {
        switch fault {
        case .keepsObjects where codec != nil && level.useMemory:
            try base.put(id, contents, level: .memoryOnly, codec: nil)
        case .forgetsPieces where level.needsCodec:
            try base.put(id, Array(contents.prefix(1)), level: level, codec: codec)
        case .keepsTheFirst:
            if try base.get(id) == nil {
                try base.put(id, contents, level: level, codec: codec)
            }
        case .needsNoCodec where codec == nil:
            try base.put(id, contents, level: .memoryOnly, codec: nil)
        default: try base.put(id, contents, level: level, codec: codec)
        }
    }

    func get(_ id: BlockID) throws -> [PartitionData]? { try base.get(id) }
    func elementCount(of id: BlockID) -> Int? { base.elementCount(of: id) }
    func remove(_ id: BlockID) { if fault != .removesNothing { base.remove(id) } }
}
