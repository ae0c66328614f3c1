import BatchEngine
import DStreamTestKit
import Testing

@Suite("Ports of the batch engine: real ones and doubles", .timeLimit(.minutes(5)))
struct PortCheckTests {
    @Test("block stores keep their promises")
    func blockStores() throws {
        try checkBlockStore { MemoryBlockStore() }
        try checkBlockStore { InMemoryBlockStore() }
    }

    @Test("the local engine keeps its promises", arguments: [1, 2, 5])
    func localEngine(slots: Int) async throws {
        try await checkExecutionEngine { LocalEngine(slots: slots) }
        try await checkExecutionEngine {
            var configuration = LocalEngine.Configuration(slots: slots)
            configuration.inlineElementMaximum = 0
            return LocalEngine(configuration)
        }
    }

    @Test("the inline engine keeps the same promises")
    func inlineEngine() async throws {
        try await checkExecutionEngine { InlineEngine() }
    }

    @Test("the inline engine tells who was running when it is abandoned")
    func inlineAbandon() async throws {
        let engine = InlineEngine()
        let rdd = BatchContext(engine: engine).parallelize(0..<2, partitions: 2)
        let error = await #expect(throws: EngineError.self) {
            try await rdd.foreach { element in
                if element == 1 {
                    #expect(engine.abandon(reason: "late").count == 1)
                }
            }
        }
        #expect(error?.code == .abandoned)
        #expect(error?.partition == 1)
        #expect(error?.site?.name == "foreach")
    }
}
