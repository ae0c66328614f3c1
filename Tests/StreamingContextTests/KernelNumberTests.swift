import BatchEngine
import DStreamCore
import DStreamTestKit
import StreamingContext
import Testing

/// The numbers by which workers know what to run.
@Suite("Numbers of kernels")
struct KernelNumberTests {
    /// Only the driver knows whether checkpoints are written.
    @Test("they are the same with and without checkpoints", arguments: [false, true])
    func checkpoints(hasLetters: Bool) throws {
        let programs = try [false, true].map { isCheckpointed in
            let harness = StreamHarness()
            let graph = harness.ssc.graph
            let numbers = harness.ssc.receiverStream(FeedReceiver<Int>())
            let output = numbers.foreachRDD { _ in }
            if hasLetters { output.onFailure(then: .deadLetter) }
            numbers.window(.seconds(3)).foreachRDD { _ in }
            numbers.map { ($0, 1) }.reduceByKey(+).map(\.0).foreachRDD { _ in }
            if isCheckpointed { graph.expectCheckpoints() }
            graph.setFailureDefaults(.stop, hasDeadLetters: true)
            try graph.start(zeroTime: .zero)
            defer { graph.stop() }
            return graph.program
        }
        #expect(programs[0].fingerprint == programs[1].fingerprint)
        #expect(programs[0].fingerprint.contains(";kernel 0:"))
    }
}
