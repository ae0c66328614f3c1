import DStreamCore
import DStreamTestKit
import FaultTolerance
import Testing

/// A crash or a failure at every operation of a file sink's life.
@Suite(.timeLimit(.minutes(5))) struct FileSinkCrashTests {
    private typealias History = FileSinkHistory

    private struct Outcome {
        /// The batches whose commits returned.
        var acknowledged: [Int] = []
        /// The one that was on its way when the medium crashed.
        var attempted = 0
    }

    /// Writes batches, the older ones late, opens the sink again in between, until the crash.
    private func run(on medium: SimulatedStorageMedium) async -> Outcome {
        var outcome = Outcome()
        do {
            var sink = History.sink(medium)
            _ = try await sink.recover(slide: .seconds(1))
            for number in [1, 2, 4, 3, 5, 7] {
                outcome.attempted = number
                if number == 5 { _ = try await History.prepare(sink, 8) }
                try await History.write(sink, number)
                outcome.acknowledged.append(number)
                guard number == 3 else { continue }
                await sink.close()
                sink = History.sink(medium)
                _ = try await sink.recover(slide: .seconds(1))
            }
            await sink.close()
        } catch {}
        return outcome
    }

    private func changes() async throws -> [Int] {
        let medium = SimulatedStorageMedium(sectorByteCount: 16)
        #expect(await run(on: medium).acknowledged == [1, 2, 4, 3, 5, 7])
        return medium.operations.filter { $0.kind.isChange }.map(\.number)
    }

    @Test func aCrashAnywhereKeepsEachBatchOnceOrNotAtAll() async throws {
        for crash in [0] + (try await changes()).crashPoints {
            for seed in 0..<6 as Range<UInt64> {
                let medium = SimulatedStorageMedium(sectorByteCount: 16)
                medium.crash(afterOperation: crash)
                let outcome = await run(on: medium)
                await check(outcome, medium.reopened(seed: seed), "\(crash), seed \(seed)")
            }
        }
    }

    @Test func theEndOfTheProgramAnywhereKeepsEachBatchOnceOrNotAtAll() async throws {
        for crash in try await changes().crashPoints {
            let medium = SimulatedStorageMedium()
            medium.crash(afterOperation: crash)
            let outcome = await run(on: medium)
            await check(outcome, medium.restarted(), "\(crash)")
        }
    }

    /// Recovers, runs what is missing again, crashes once more, and reads.
    private func check(
        _ outcome: Outcome, _ medium: SimulatedStorageMedium, _ place: Comment
    ) async {
        do {
            let sink = History.sink(medium)
            let missing = (1...9).filter { !outcome.acknowledged.contains($0) }
            let committed = try await sink.recover(
                SinkStart(
                    slide: .seconds(1),
                    resumption: SinkResumption(
                        pending: Set(missing.map(History.time)), newestBegun: History.time(9))))
            let held = (0...9).filter { committed.contains(History.time($0)) }
            #expect(Set(outcome.acknowledged).isSubset(of: held), place)
            #expect(
                Set(held).isSubset(of: outcome.acknowledged + [outcome.attempted]), place)
            #expect(try await History.read(medium) == History.expected(held), place)
            #expect(try await History.leftovers(medium) == [], place)
            for number in 1...8 where !held.contains(number) {
                try await History.write(sink, number)
            }
            #expect(try await History.read(medium) == History.expected(1...8), place)
            await sink.close()
            let again = medium.reopened(seed: 1)
            let last = History.sink(again)
            _ = try await last.recover(slide: .seconds(1))
            #expect(try await History.read(again) == History.expected(1...8), place)
            #expect(try await History.leftovers(again) == [], place)
        } catch {
            Issue.record("\(error), \(place)")
        }
    }

    @Test(arguments: [StorageError.Code.full, .failed, .readOnly])
    func aBatchThatFailedCanComeAgain(_ code: StorageError.Code) async throws {
        let count = try await failing(nil, code)
        #expect(count > 10)
        for operation in 1...count { _ = try await failing(operation, code) }
    }

    /// Lets one operation of the fourth batch fail, and writes it again in the same run; gives how
    /// many operations that batch has.
    private func failing(_ operation: Int?, _ code: StorageError.Code) async throws -> Int {
        let medium = SimulatedStorageMedium()
        let sink = History.sink(medium)
        _ = try await sink.recover(slide: .seconds(1))
        for number in 1...3 { try await History.write(sink, number) }
        let before = medium.operations.count
        if let operation { medium.fail(operation: before + operation, with: code) }
        do {
            try await History.write(sink, 4)
        } catch {
            let problem = try #require(error as? SinkError)
            #expect(problem.code == (code == .full ? .full : .failed))
            #expect(problem.batch == History.time(4))
        }
        let count = medium.operations.count - before
        medium.fail(where: nil)
        let place: Comment = "operation \(operation ?? 0)"
        for number in 4...7 { try await History.write(sink, number) }
        #expect(try await History.read(medium) == History.expected(1...7), place)
        await sink.close()
        let after = medium.reopened(seed: UInt64(operation ?? 0))
        let last = History.sink(after)
        let committed = try await last.recover(slide: .seconds(1))
        #expect(committed.ranges.count == 1, place)
        #expect(try await History.read(after) == History.expected(1...7), place)
        #expect(try await History.leftovers(after) == [], place)
        return count
    }
}
