import BatchEngine
import DStreamCore
import DStreamTestKit
import Testing

/// Graphs that are very deep are refused at the start by name, or run.
@Suite struct DeepGraphTests {
    private func input(_ graph: DStreamGraph) -> DStream<Int> {
        graph.inputStream { _, context in context.batch.makeRDD(partitions: [[1]]) }
    }

    private func startError(_ graph: DStreamGraph) -> StreamError? {
        #expect(throws: StreamError.self) { try graph.start(zeroTime: .zero) }
    }

    @Test(.timeLimit(.minutes(1)))
    func tenThousandNestedUnionsAreRefusedAtTheStart() throws {
        let graph = DStreamGraph(batchInterval: .seconds(1))
        let one = input(graph)
        let line: UInt = #line + 2
        var all = one
        for _ in 0..<10_000 { all = all.union(one) }
        all.foreachRDD { _ in }
        let error = try #require(startError(graph))
        #expect(error.code == .badDeclaration && error.parts.count <= 1)
        #expect(error.site?.name == "union" && error.site?.line == line)
        #expect("\(error)".contains("more than 1000 operators are nested"))
        #expect(graph.phase == .stopped)
        graph.clear()
    }

    /// What an output does with a stream counts for nothing: the limit is that of streams.
    @Test(.timeLimit(.minutes(1)), arguments: [998, 999])
    func theLimitIsExact(maps: Int) async throws {
        let harness = StreamHarness()
        var stream = harness.input([[0]])
        for _ in 0..<maps { stream = stream.map { $0 + 1 } }
        let sums = harness.record(stream.map { ($0, 1) }.reduceByKey(+))
        if maps == 999 {
            let error = await #expect(throws: StreamError.self) {
                try await harness.run(batches: 1)
            }
            #expect(error?.code == .badDeclaration)
            return
        }
        try await harness.run(batches: 1)
        #expect(harness.errors.isEmpty)
        #expect(sums.batches.flatMap(\.elements).map(\.0) == [998])
    }

    @Test(.timeLimit(.minutes(1)))
    func deepGraphsWithPersistedStreamsRun() async throws {
        let harness = StreamHarness()
        var stream = harness.input([[0]])
        for number in 1...5000 {
            stream = stream.map { $0 + 1 }
            if number % 500 == 0 { stream.persist() }
        }
        let seen = harness.record(stream)
        try await harness.run(batches: 1)
        #expect(harness.errors.isEmpty)
        #expect(seen.batches.flatMap(\.elements) == [5000])
    }

    /// There are 2^60 ways from the output to the input: each stream is looked at once.
    @Test(.timeLimit(.minutes(1)))
    func manyWaysThroughAGraphAreOneAtTheStart() throws {
        let graph = DStreamGraph(batchInterval: .seconds(1))
        var stream = input(graph)
        for _ in 0..<60 { stream = stream.union(stream.filter { _ in false }) }
        for _ in 0..<60 { stream = stream.window(.seconds(2)).union(stream.map { $0 }) }
        stream.foreachRDD { _ in }
        try graph.start(zeroTime: .zero)
        #expect(graph.nodes.first?.rememberDuration == .seconds(121))
        graph.clear()
    }
}
