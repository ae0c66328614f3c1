import BatchEngine
import DStreamCore
import JobGeneration
import Synchronization
import Testing

/// One write in flight, the newest of those that wait, and an answer for each write.
@Suite(.timeLimit(.minutes(5))) struct CheckpointWriterTests {
    private func record(_ second: Int64) -> CheckpointRecord {
        CheckpointRecord(
            time: .seconds(second), appName: "test", zeroTime: .zero, batchInterval: .seconds(1),
            fingerprint: "f", pendingBatches: [], isCompleted: true)
    }

    @Test func aNewerRecordReplacesTheOneThatWaits() async {
        let (trace, gate) = (Trace(), Gate())
        let store = RecordingStore(trace, gate: gate)
        let writer = CheckpointWriter(store: store)
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                await writer.run(capture: { record, _ in (record, []) }) { answer in
                    trace.note("answer \(answer.ticket) \(answer.error == nil)")
                }
            }
            writer.submit(record(1), ticket: 1)
            await trace.expect(["checkpoint 1000 pending [] completed"])
            for second in 2...5 { writer.submit(record(Int64(second)), ticket: second) }
            gate.open()
            await trace.expect(["answer 1 true", "checkpoint 5000 pending [] completed"])
            store.error.withLock { $0 = Boom("disk full") }
            gate.open()
            await trace.expect(["answer 5 false"])
            // What waits at the end is still written.
            store.error.withLock { $0 = nil }
            writer.submit(record(6), ticket: 6)
            writer.finish()
            gate.open()
        }
        #expect(store.records.withLock { $0.map(\.time) } == [.seconds(1), .seconds(6)])
        #expect(!writer.submit(record(7), ticket: 7))
    }

    @Test func aWriteCutShortIsNotAnswered() async {
        let trace = Trace()
        let writer = CheckpointWriter(store: RecordingStore(trace, gate: Gate()))
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                await writer.run(capture: { record, _ in (record, []) }) { _ in trace.note("answer")
                }
            }
            writer.submit(record(1), ticket: 1)
            await trace.expect(["checkpoint 1000 pending [] completed"])
            group.cancelAll()
        }
        #expect(trace.all.count == 1)
    }
}
