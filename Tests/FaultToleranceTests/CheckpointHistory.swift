import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance

/// A life of a checkpoint store: numbered records, each with pieces of state that tell its number.
enum CheckpointHistory {
    static let directory = "/data/checkpoints"

    static func open(
        _ medium: SimulatedStorageMedium, retainedCount: Int = 10
    ) async throws -> FileCheckpointStore {
        try await FileCheckpointStore.open(directory, on: medium, retainedCount: retainedCount)
    }

    static func path(_ number: Int) -> String {
        let digits = String(number)
        return directory + "/checkpoint-" + String(repeating: "0", count: 12 - digits.count)
            + digits
    }

    /// The record of a number, which nothing else tells apart.
    static func record(_ number: Int, oldestState: Int = 0) -> CheckpointRecord {
        var record = CheckpointRecord(
            time: .seconds(Int64(number)), appName: "app é", zeroTime: .seconds(-3),
            batchInterval: .seconds(1), fingerprint: "graph \(number)",
            pendingBatches: number % 2 == 0 ? [.seconds(Int64(number))] : [],
            isCompleted: number % 2 == 1)
        record.newestCompleted = number == 1 ? nil : .seconds(Int64(number - 1))
        record.parallelism = number
        record.oldestState = .seconds(Int64(oldestState))
        return record
    }

    /// The pieces of a number: of several operators and partitions.
    static func pieces(_ number: Int) -> [OperatorState] {
        let kinds = OperatorState.Kind.allCases
        return (0..<3).map { index in
            OperatorState(
                operatorID: "operator \(index % 2)", time: .seconds(Int64(number)),
                kind: kinds[(number + index) % kinds.count], partition: index, partitionCount: 3,
                values: EncodedValues(
                    bytes: [UInt8](repeating: UInt8(number), count: number * 7 + index),
                    count: index),
                removed: EncodedValues(bytes: [UInt8(index)], count: 1))
        }
    }

    /// What recovery is to give: the record and the pieces of some numbers.
    static func recovered(
        _ record: CheckpointRecord, piecesOf numbers: [Int]
    ) -> RecoveredCheckpoint {
        RecoveredCheckpoint(record: record, state: sorted(numbers.flatMap { pieces($0) }))
    }

    /// Pieces of one write have no order among them.
    static func sorted(_ pieces: [OperatorState]) -> [OperatorState] {
        pieces.sorted { ($0.time, $0.partition) < ($1.time, $1.partition) }
    }

    /// What a store gives, without its problems, in an order that can be compared.
    static func recover(_ store: FileCheckpointStore) async throws -> RecoveredCheckpoint? {
        guard let found = try await store.recover() else { return nil }
        return RecoveredCheckpoint(record: found.record, state: sorted(found.state))
    }

    /// A medium with so many checkpoints.
    static func medium(writing numbers: ClosedRange<Int>) async throws -> SimulatedStorageMedium {
        let medium = SimulatedStorageMedium()
        let store = try await open(medium)
        for number in numbers { try await store.write(record(number), state: pieces(number)) }
        await store.close()
        return medium.restarted()
    }
}
