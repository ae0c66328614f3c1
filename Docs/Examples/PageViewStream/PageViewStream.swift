import StreamingContext

// Analyses the page views of a web site, as a server sends them, a line each:
//   PageViewStream METRIC HOST PORT [BATCH_MILLISECONDS]
// A line is URL, status, zip code and user, separated by blanks: `http://foo.com/ 200 94117 5`.
// METRIC is one of
//   pageCounts         views of each page in each batch
//   slidingPageCounts  views of each page in the last ten batches, every two
//   errorRatePerZip    percentage of views that failed, by zip code, in the last thirty batches
//   activeUserCount    number of different users in the last fifteen batches, every two
// Ctrl-C drains what was received, then ends.

@main
struct PageViewStream {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard (4...5).contains(arguments.count), let port = Int(arguments[3]),
            let batch = arguments.count == 5 ? Int(arguments[4]) : 1000
        else { return print("usage: PageViewStream METRIC HOST PORT [BATCH_MILLISECONDS]") }

        let ssc = StreamingContext(appName: "PageViewStream", batchInterval: .milliseconds(batch))
        let views = ssc.socketTextStream(arguments[2], port: port)
            .flatMap { [PageView($0)].compactMap(\.self) }
        guard declare(arguments[1], of: views, batch: ssc.batchInterval) else {
            return print("PageViewStream: no metric \(arguments[1])")
        }
        try await ssc.runUntilInterrupted()
    }

    /// Prints a metric; false if there is none of that name.
    static func declare(_ metric: String, of views: DStream<PageView>, batch: Duration) -> Bool {
        switch metric {
        case "pageCounts": views.map(\.url).countByValue().print()
        case "slidingPageCounts":
            views.map(\.url).map { ($0, 1) }
                .reduceByKeyAndWindow(+, window: batch * 10, slide: batch * 2)
                .print()
        case "errorRatePerZip":
            let outcomes = views.map { view -> (Int, (failed: Int, all: Int)) in
                (view.zipCode, (view.status == 200 ? 0 : 1, 1))
            }
            outcomes.reduceByKeyAndWindow(window: batch * 30) { first, second in
                (first.failed + second.failed, first.all + second.all)
            }
            .mapValues { 100 * $0.failed / $0.all }
            .print()
        case "activeUserCount":
            views.window(batch * 15, slide: batch * 2)
                .map { ($0.userID, 1) }
                .groupByKey()
                .count()
                .map { "Unique active users: \($0)" }
                .print()
        default: return false
        }
        return true
    }
}

/// A page that was looked at.
struct PageView: Sendable {
    let url: String
    let status: Int
    let zipCode: Int
    let userID: Int

    /// The view that a line tells of; nil if it tells of none.
    init?(_ line: String) {
        let fields = line.split(separator: " ")
        guard fields.count == 4, let status = Int(fields[1]), let zipCode = Int(fields[2]),
            let userID = Int(fields[3])
        else { return nil }
        url = String(fields[0])
        self.status = status
        self.zipCode = zipCode
        self.userID = userID
    }
}
