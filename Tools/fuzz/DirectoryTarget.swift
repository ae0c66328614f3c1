import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance

/// A checkpoint directory that a program finds, and goes on in.
enum DirectoryTarget {
    /// What files are called; the first byte of each file chooses.
    private static let names = [
        "checkpoint-000000000001", "checkpoint-000000000002", "checkpoint-7",
        "checkpoint-9223372036854775807", "checkpoint-000000000002.tmp", "notes",
    ]

    /// For each file a byte for its name, two for its length, and what is behind a right header.
    static func feed(_ bytes: [UInt8]) -> Bool {
        let medium = SimulatedStorageMedium()
        medium.setDirectory("/c")
        var rest = bytes[...]
        while rest.count >= 3 {
            let name = names[Int(rest.removeFirst()) % names.count]
            let count = Int(rest.removeFirst()) | Int(rest.removeFirst()) << 8
            let payload = Array(rest.prefix(count))
            rest = rest.dropFirst(count)
            medium.setContents(of: "/c/" + name, to: Target.header(of: payload) + payload)
        }
        return finish {
            guard let store = try? await FileCheckpointStore.open("/c", on: medium) else {
                return false
            }
            let found = try? await store.recover()
            let wasWritten: Void?
            if found != nil {
                wasWritten = try? await store.write(record, state: [])
            } else {
                wasWritten = nil
            }
            await store.close()
            guard wasWritten != nil else { return false }
            let again = try? await FileCheckpointStore.open("/c", on: medium)
            let kept = try? await again?.recover()
            await again?.close()
            precondition(kept?.record == record, "what was written is not found")
            return true
        }
    }

    private static let record = record(of: .seconds(9))

    private static func record(of time: BatchTime) -> CheckpointRecord {
        CheckpointRecord(
            time: time, appName: "fuzz", zeroTime: .zero, batchInterval: .seconds(1),
            fingerprint: "f", pendingBatches: [], isCompleted: true)
    }

    static func seed() throws -> [UInt8] {
        try (1...2 as ClosedRange<UInt64>).flatMap { number in
            let contents = CheckpointFormat.Contents(
                record: record(of: .seconds(1)), sequence: number, void: [])
            let payload = Array(try CheckpointFormat.bytes(of: contents).dropFirst(16))
            return [
                UInt8(number - 1), UInt8(payload.count & 255), UInt8(payload.count >> 8),
            ] + payload
        }
    }
}
