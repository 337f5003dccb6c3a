//! The sums; and in [`engines`], which needs DynamoDB's API, what the store's requests come to.

mod engines;

use super::*;

#[test]
fn operations_are_added_by_what_they_are() {
    let cost = |requests, units| Cost { requests, units };
    let costs = [
        ("PutItem", cost(1, 5.0)),
        ("TransactWriteItems", cost(2, 7.5)),
        ("GetItem", cost(4, 2.0)),
    ];
    let costs = Costs::from(costs.map(|(operation, cost)| (operation.to_owned(), cost)));
    assert_eq!(sum(&costs, |name| name != "GetItem"), cost(3, 12.5));
    assert_eq!(sum(&costs, |_| true).requests, 7);
}
