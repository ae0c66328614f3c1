import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import ReceiverRuntime
import Testing

@Suite("Block handlers are checked", .timeLimit(.minutes(5)))
struct WrongHandlerTests {
    @Test("ours keep their promises", arguments: [StorageLevel.memoryOnly, .diskOnly])
    func right(level: StorageLevel) async throws {
        let codec = ErasedCodec(try #require(Codec<Int>.resolve()))
        try await checkReceivedBlockHandler { stream, engine in
            BlockStoreHandler(streamID: stream, engine: engine, level: level, codec: codec)
        }
        try await checkReceivedBlockHandler { stream, engine in
            LoggedBlockHandler(
                streamID: stream, engine: engine, level: level, codec: codec,
                log: InMemoryWriteAheadLog(), clock: SystemStreamClock())
        }
    }

    @Test(
        "wrong ones are noticed",
        arguments: zip(
            WrongHandler.Fault.allCases,
            [
                "of the handler's stream", "what a block counts", "is what was received",
                "a removed block is gone", "takes no memory",
            ]))
    func fault(_ fault: WrongHandler.Fault, promise: String) async {
        let failure = await failure {
            try await checkReceivedBlockHandler { WrongHandler(fault, $0, $1) }
        }
        #expect(failure.contains(promise))
    }
}

struct WrongHandler: ReceivedBlockHandler {
    enum Fault: CaseIterable {
        case mixesStreams, forgetsMetadata, losesPieces, removesNothing, keepsInMemory
    }

    private let fault: Fault
    private let base: BlockStoreHandler

    init(_ fault: Fault, _ stream: StreamID, _ engine: any ExecutionEngine) {
        self.fault = fault
        base = BlockStoreHandler(
            streamID: fault == .mixesStreams ? StreamID(0) : stream, engine: engine)
    }

    func store(_ block: ReceivedBlock) async throws -> StoredBlock {
        let contents = fault == .losesPieces ? Array(block.contents.prefix(1)) : block.contents
        return try await base.store(
            ReceivedBlock(
                id: block.id, contents: contents, recordCount: block.recordCount,
                byteCount: block.byteCount,
                metadata: fault == .forgetsMetadata ? [:] : block.metadata))
    }

    func remove(_ blocks: [StoredBlock]) async {
        if fault != .removesNothing { await base.remove(blocks) }
    }

    func setAside(_ blocks: [StoredBlock]) async {
        if fault != .keepsInMemory { await base.remove(blocks) }
    }
}
