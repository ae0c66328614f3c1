import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import Testing

/// A checkpoint directory that has lost state, or checkpoints.
@Suite(.timeLimit(.minutes(5))) struct CheckpointLossTests {
    private typealias History = CheckpointHistory
    private static let state = History.directory + "/state"

    /// A program that was killed after so many checkpoints, and how long the state log was after
    /// each.
    private func killed(
        after count: Int
    ) async throws -> (medium: SimulatedStorageMedium, segment: String, lengths: [Int]) {
        let medium = SimulatedStorageMedium()
        let store = try await History.open(medium)
        var lengths: [Int] = []
        var segment = ""
        for number in 1...count {
            try await store.write(History.record(number), state: History.pieces(number))
            let name = try #require(try medium.list(Self.state).last { $0.hasPrefix("log-") })
            segment = Self.state + "/" + name
            lengths.append(try #require(medium.contents(of: segment)).count)
        }
        return (medium.restarted(), segment, lengths)
    }

    @Test("a checkpoint whose state is gone makes the one before it count")
    func olderCounts() async throws {
        let (medium, segment, lengths) = try await killed(after: 3)
        let whole = try #require(medium.contents(of: segment))
        // Behind the last record is a mark, which may be missing.
        for length in [lengths[1], lengths[1] + 30, lengths[2] - 25] {
            let cut = medium.restarted()
            cut.setContents(of: segment, to: Array(whole.prefix(length)))
            let store = try await History.open(cut)
            let found = try #require(try await store.recover())
            #expect(found.record == History.record(2))
            #expect(History.sorted(found.state) == [1, 2].flatMap(History.pieces))
            #expect(found.problems.count == 1)
            #expect(found.problems.first?.contains(History.path(3)) == true)
            #expect(found.problems.first?.contains(Self.state) == true)
            #expect(cut.contents(of: segment)?.count == length, "nothing is cut")
            let read = try await FileCheckpointStore.read(History.directory, on: cut)
            #expect(read?.record == found.record && read?.problems == found.problems)
            // It goes on from there, and the third stays void.
            try await store.write(History.record(4), state: History.pieces(4))
            let last = try await History.open(cut.restarted())
            #expect(
                try await History.recover(last)
                    == History.recovered(History.record(4), piecesOf: [1, 2, 4]))
        }
        let mark = medium.restarted()
        mark.setContents(of: segment, to: Array(whole.prefix(lengths[2] - 24)))
        #expect(
            try await History.recover(try await History.open(mark))
                == History.recovered(History.record(3), piecesOf: [1, 2, 3]))
    }

    @Test("state that no checkpoint can do without refuses the start and changes nothing")
    func refused() async throws {
        let (medium, segment, lengths) = try await killed(after: 2)
        let whole = try #require(medium.contents(of: segment))
        let directory = try medium.list(Self.state).map { Self.state + "/" + $0 }
        for length in [0, 72, lengths[0] - 25, nil] as [Int?] {
            let cut = medium.restarted()
            if let length {
                cut.setContents(of: segment, to: Array(whole.prefix(length)))
            } else {
                for path in directory { try cut.remove(path) }
            }
            for _ in 0..<2 {
                let error = await #expect(throws: LogError.self) { try await History.open(cut) }
                #expect(error?.code == .damaged)
                #expect(error?.message.contains(Self.state) == true)
                #expect(error?.message.contains("Docs/Messages.md") == true)
            }
        }
    }

    @Test("checkpoints that were removed are noticed by the state they left")
    func removed() async throws {
        let (medium, _, _) = try await killed(after: 3)
        for number in 1...3 { try medium.remove(History.path(number)) }
        let store = try await History.open(medium)
        #expect(try await store.recover() == nil)
        let remains = try await InputLogs.remains(in: History.directory, on: medium)
        #expect(remains.count == 1 && remains.first?.contains(Self.state) == true)
    }

    @Test("first writes that were cut short, however many, are no earlier run")
    func firstWrites() async throws {
        var (medium, _, _) = try await killed(after: 1)
        for _ in 0..<3 {
            try medium.remove(History.path(1))
            let store = try await History.open(medium)
            #expect(try await store.recover() == nil)
            #expect(try await InputLogs.remains(in: History.directory, on: medium).isEmpty)
            try await store.write(History.record(1), state: History.pieces(1))
            medium = medium.restarted()
        }
        let last = try await History.open(medium)
        #expect(
            try await History.recover(last) == History.recovered(History.record(1), piecesOf: [1]))
    }

    @Test("nothing is cut while the checkpoints cannot be read")
    func unreadableForNow() async throws {
        let (medium, segment, lengths) = try await killed(after: 2)
        let whole = try #require(medium.contents(of: segment))
        let torn = Array(whole.prefix(lengths[1] - 30))
        medium.setContents(of: segment, to: torn)
        medium.fail { $0.path.hasPrefix(History.directory + "/checkpoint-") ? .failed : nil }
        await #expect(throws: StorageError.self) { try await History.open(medium) }
        #expect(medium.contents(of: segment) == torn)
    }

    @Test("checkpoint files are read once at a start")
    func readOnce() async throws {
        let (medium, _, _) = try await killed(after: 3)
        let before = medium.operations.count
        _ = try await History.open(medium).recover()
        let reads = medium.operations.dropFirst(before).filter { $0.path == History.path(3) }
        let kinds = Dictionary(grouping: reads, by: { "\($0.kind)" }).mapValues(\.count)
        #expect(kinds.values.allSatisfy { $0 == 1 }, "\(kinds)")
    }
}
