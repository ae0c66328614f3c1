import DStreamCore
import DStreamTestKit
import Testing

/// Ranges of batches against a plain set.
@Suite("Committed batches")
struct CommittedBatchesTests {
    @Test("are those that were put in, in any order")
    func random() {
        for seed in 0..<60 {
            var random = SeededRandom(seed)
            var batches = CommittedBatches()
            var naive: Set<Int64> = []
            let step = Int64.random(in: 1...3, using: &random)
            for _ in 0..<60 {
                // Now and then off the grid, as after a change of the interval.
                let time =
                    Int64.random(in: -10...30, using: &random) * step
                    + (Int.random(in: 0..<20, using: &random) == 0 ? 1 : 0)
                batches.insert(.milliseconds(time), step: .milliseconds(step))
                naive.insert(time)
                let same = CommittedBatches(batches.ranges.shuffled(using: &random))
                for probe in -40...100 as ClosedRange<Int64> {
                    let expected = naive.contains(probe)
                    #expect(batches.contains(.milliseconds(probe)) == expected, "seed \(seed)")
                    #expect(same.contains(.milliseconds(probe)) == expected, "seed \(seed)")
                }
            }
            #expect(batches.newest == naive.max().map { .milliseconds($0) })
        }
    }

    @Test("that follow one another are one range, also when a gap is filled late")
    func oneRange() {
        var batches = CommittedBatches()
        for number in [1, 2, 5, 4, 7, 3, 6] as [Int64] {
            batches.insert(.seconds(number), step: .seconds(1))
        }
        #expect(
            batches.ranges == [
                CommittedBatches.Range(.seconds(1), through: .seconds(7), step: .seconds(1))
            ])
    }

    @Test("that are said twice are one range")
    func overlapping() {
        func range(_ first: Int64, _ last: Int64) -> CommittedBatches.Range {
            CommittedBatches.Range(.seconds(first), through: .seconds(last), step: .seconds(1))
        }
        let batches = CommittedBatches([
            range(10, 10), range(1, 1), range(1, 10), range(9, 9), range(11, 12),
        ])
        #expect(batches.ranges == [range(1, 12)])
    }

    @Test("are forgotten, oldest first, when there are too many ranges")
    func bounded() {
        let most = Int64(CommittedBatches.rangeMaximum)
        var batches = CommittedBatches(
            (0..<(most + 2)).map { number in
                CommittedBatches.Range(
                    .seconds(number * 2), through: .seconds(number * 2), step: .seconds(1))
            })
        batches.insert(.seconds((most + 2) * 2), step: .seconds(1))
        #expect(batches.ranges.count == Int(most))
        #expect(batches.forgottenThrough == .seconds(4))
        #expect(batches.hasForgotten(.seconds(3)))
        #expect(batches.hasForgotten(.seconds(4)))
        #expect(!batches.hasForgotten(.seconds(5)))
        #expect(batches.contains(.seconds(6)))
        let again = CommittedBatches(batches.ranges, forgottenThrough: batches.forgottenThrough)
        #expect(again == batches)
    }
}
