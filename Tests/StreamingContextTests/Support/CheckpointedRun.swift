import BatchEngine
import DStreamTestKit
import StreamingContext

extension StreamHarness {
    /// Goes on from what the harness's checkpoint store has, for so many batches, and drains.
    ///
    /// - Parameter isSettled: whether each batch settles; one whose checkpoint fails is settled by a
    ///   later one, so that only its jobs are waited for.
    func goOn(for batches: Range<Int>, isSettled: Bool) async throws {
        let directory = try FileSystem.createTemporaryDirectory(prefix: "checkpointed")
        defer { try? FileSystem.removeTree(directory) }
        _ = try await StreamingContext.getOrCreate(checkpointDirectory: directory) { ssc }
        try await ssc.start()
        for _ in batches {
            if isSettled { try await advance() } else { try await advanceUntilCompleted() }
        }
        await ssc.stop(graceful: true)
    }
}
