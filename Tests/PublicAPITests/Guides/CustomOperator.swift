import BatchEngine
import DStreamCore
import DStreamTestKit
import StreamingContext
import Testing

extension DStream where Element: Equatable {
    /// Without the elements that equal the one before them in their partition.
    func withoutRepeats(file: String = #fileID, line: UInt = #line) -> DStream {
        let site = OperatorSite("withoutRepeats", file: file, line: line)
        return DStream(
            graph, site, parents: [node], slide: slideDuration,
            pipe: { [pipe] in
                let upstream = pipe()
                return Pipe(around: upstream.depth, site) { context, inputs, sink in
                    var last: Element?
                    try upstream.run(context, inputs) { element in
                        if element == last { return }
                        last = element
                        try sink(element)
                    }
                }
            },
            compute: { [node] _, time, context in try await node.plan(at: time, context) })
    }
}

extension DStream {
    /// All elements in one partition, in the order of partitions.
    func inOnePartition(file: String = #fileID, line: UInt = #line) -> DStream {
        let site = OperatorSite("inOnePartition", file: file, line: line)
        return DStream(
            graph, site, parents: [node], slide: slideDuration,
            pipe: { [pipe] in pipe().joined(site) },
            compute: { [node] _, time, context in
                guard let plan = try await node.plan(at: time, context) else { return nil }
                return .coalesce(plan, 1)
            })
    }
}

@Suite("The code of the guide to operators")
struct OperatorGuideTests {
    @Test("an element that repeats the one before it is left out")
    func repeats() async throws {
        let harness = StreamHarness()
        let numbers = harness.input([[1, 1, 2, 2, 1], [1]], partitions: 1)
        let seen = harness.record(numbers.withoutRepeats())
        try await harness.run(batches: 2)
        #expect(seen.batches.map(\.elements) == [[1, 2, 1], [1]])
    }

    @Test("partitions are put into one")
    func one() async throws {
        let harness = StreamHarness()
        let numbers = harness.input([[1, 2, 3, 4]], partitions: 4).inOnePartition()
        let seen = harness.record(numbers.map { $0 * 2 }.withoutRepeats())
        try await harness.run(batches: 1)
        #expect(seen.batches.map(\.partitions) == [[[2, 4, 6, 8]]])
        #expect(seen.batches.map(\.elements) == [[2, 4, 6, 8]])
    }

    @Test("an error names the operator, and where it was called")
    func named() async throws {
        struct Odd: Error {}
        let harness = StreamHarness()
        let numbers = harness.input([[1]]).withoutRepeats()
        #expect(numbers.node.site.name == "withoutRepeats")
        #expect(numbers.node.site.file.hasSuffix("CustomOperator.swift"))
    }
}
