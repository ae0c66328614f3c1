import DStreamCore
import Testing

/// Arithmetic on batch times and durations, above all at its edges.
@Suite struct BatchTimeTests {
    private let latest = BatchTime(milliseconds: .max)
    private let earliest = BatchTime(milliseconds: .min)

    @Test func sumsStayInRange() {
        #expect(BatchTime.seconds(2) + .milliseconds(5) == .milliseconds(2005))
        #expect(latest + .seconds(1) == latest)
        #expect(earliest - .seconds(1) == earliest)
        #expect(BatchTime.zero - .seconds(Int64.min) == latest)
        #expect(BatchTime.zero + Duration.seconds(Int64.max) * 15 == latest)
        #expect(BatchTime.seconds(.max) == latest)
        #expect(BatchTime.seconds(.min) == earliest)
    }

    @Test func aDifferenceIsExactAcrossTheWholeRange() {
        #expect(latest - earliest > .milliseconds(Int64.max))
        #expect(BatchTime.milliseconds(1) - .milliseconds(3) == .milliseconds(-2))
    }

    @Test func fractionsOfAMillisecondAreDropped() {
        #expect(BatchTime.zero + .microseconds(1999) == .milliseconds(1))
        #expect(Duration.microseconds(-1999).milliseconds == -1)
        #expect(Duration.microseconds(1500).wholeMilliseconds == nil)
        #expect(Duration.microseconds(1500).fractionalMilliseconds == 1.5)
        #expect(Duration.seconds(Int64.max).wholeMilliseconds == nil)
        #expect(Duration.seconds(Int64.max).milliseconds == .max)
    }

    @Test func aGridNeedsAWholeStep() {
        #expect(code { try BatchTime.zero.floor(.zero) } == .zeroDuration)
        #expect(code { try BatchTime.zero.isMultiple(of: .zero) } == .zeroDuration)
        #expect(code { try BatchTime.zero.floor(.microseconds(1)) } == .fractionOfMillisecond)
        #expect(code { try latest.to(latest, by: .seconds(Int64.max)) } == .fractionOfMillisecond)
        #expect(code { try BatchAlignment(period: .seconds(-1)) } == .negativeDuration)
        #expect(code { try earliest.until(latest, by: .milliseconds(1)) } == .tooManyTimes)
    }

    @Test func floorsStayInRange() throws {
        let odd = BatchTime(milliseconds: 1)
        #expect(try latest.floor(.milliseconds(Int64.min), zeroTime: earliest) <= latest)
        #expect(try earliest.floor(.milliseconds(-1)) == earliest)
        #expect(try earliest.isMultiple(of: .milliseconds(-1)))
        #expect(try odd.floor(.seconds(1), zeroTime: .milliseconds(300)) == .milliseconds(300))
    }

    @Test func listsGoEitherWayAndToTheEnds() throws {
        let five = BatchTime.milliseconds(5)
        #expect(try five.to(.zero, by: .milliseconds(-2)).map(\.milliseconds) == [5, 3, 1])
        #expect(try five.until(.milliseconds(1), by: .milliseconds(-2)).count == 2)
        let quarters = try earliest.to(latest, by: .milliseconds(1 << 62))
        #expect(quarters.map(\.milliseconds) == [.min, -(1 << 62), 0, 1 << 62])
    }

    @Test(arguments: [
        (Int64(-61_000), "-61000 ms"), (999, "999 ms"), (1000, "1.0 s"), (1050, "1.0 s"),
        (1250, "1.3 s"), (59_999, "60.0 s"), (60_000, "1.0 m"), (3_600_000, "1.00 h"),
        (5_400_000, "1.50 h"), (3_636_000, "1.01 h"), (90_061_000, "25.02 h"),
    ])
    func durationsPrintAsPeopleReadThem(milliseconds: Int64, text: String) {
        #expect(Duration.milliseconds(milliseconds).prettyPrint() == text)
    }

    @Test func theLongestDurationPrints() {
        #expect(Duration.seconds(Int64.max).prettyPrint().hasSuffix(" h"))
    }

    @Test func alignmentAgreesWithCountingByHand() throws {
        for zero in Int64(-5)...5 {
            for period in Int64(1)...7 {
                let grid = try BatchAlignment(
                    zeroTime: .milliseconds(zero), period: .milliseconds(period))
                for time in Int64(-20)...20 {
                    let times = (-40...40).map { zero + Int64($0) * period }
                    let now = BatchTime.milliseconds(time)
                    #expect(grid.isAligned(now) == times.contains(time))
                    #expect(grid.firstTime(after: now).milliseconds == times.first { $0 > time })
                    #expect(
                        grid.latestTime(notAfter: now).milliseconds == times.last { $0 <= time })
                    #expect(grid.time(at: grid.index(of: now)) == grid.latestTime(notAfter: now))
                }
            }
        }
    }

    @Test func alignmentStaysInRange() throws {
        let grid = try BatchAlignment(zeroTime: earliest, period: .milliseconds(Int64.max))
        #expect(grid.firstTime(after: latest) == latest)
        #expect(grid.time(at: .max) == latest)
        let small = try BatchAlignment(period: .milliseconds(1))
        #expect(small.count(after: earliest, through: latest) == .max)
        #expect(small.count(after: latest, through: earliest) == 0)
    }

    @Test func aTickerHandsOutEveryTimeOnce() throws {
        let grid = try BatchAlignment(period: .seconds(1))
        var ticker = BatchTicker(alignment: grid, from: .milliseconds(500))
        #expect(ticker.nextDue == .seconds(1))
        #expect(ticker.takeDue(now: .milliseconds(999)) == nil)
        #expect(ticker.dueCount(now: .milliseconds(3500)) == 3)
        var taken: [BatchTime] = []
        while let time = ticker.takeDue(now: .milliseconds(3500)) { taken.append(time) }
        #expect(taken == [.seconds(1), .seconds(2), .seconds(3)])
        #expect(ticker.lastTaken == .seconds(3))
        #expect(ticker.dueCount(now: .milliseconds(3500)) == 0)
    }

    @Test func aTickerEndsAtTheEndOfTime() throws {
        let grid = try BatchAlignment(period: .milliseconds(1))
        var ticker = BatchTicker(alignment: grid, from: latest)
        #expect(ticker.takeDue(now: latest) == latest)
        #expect(ticker.takeDue(now: latest) == nil)
    }

    @Test func partsOfABatchCountAsWholeOnesToRemember() throws {
        func count(_ minimum: Duration) throws -> Int {
            try BatchAlignment.numBatchesToRemember(minimum: minimum, batchInterval: .seconds(1))
        }
        #expect(try count(.zero) == 0)
        #expect(try count(.seconds(-3)) == 0)
        #expect(try count(.microseconds(1)) == 1)
        #expect(try count(.microseconds(1_000_001)) == 2)
        #expect(try count(.seconds(Int64.max)) > 1_000_000)
    }

    private func code<Value>(_ body: () throws -> Value) -> BatchTimeError.Code? {
        do {
            _ = try body()
            return nil
        } catch {
            return (error as? BatchTimeError)?.code
        }
    }
}
